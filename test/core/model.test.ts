import fc from 'fast-check'
import { expect, test } from 'vitest'
import { command, setting } from './model/commands.ts'
import { failureOf, play } from './model/failure.ts'

const RUNS = Number(process.env['SLUICE_MODEL_RUNS'] ?? 500)
const SEED = Number(process.env['SLUICE_MODEL_SEED'] ?? Date.now() % 2 ** 31)
const COMMANDS_MAX = 200

const scene = fc.record({
  setting,
  commands: fc.array(command, { minLength: 1, maxLength: COMMANDS_MAX, size: 'max' }),
})

test('the core does what the reference model does, whatever comes', { timeout: 900_000 }, () => {
  const replay = `SLUICE_MODEL_SEED=${SEED} SLUICE_MODEL_RUNS=${RUNS} npx vitest run --project unit test/core/model.test.ts`
  console.log(`replay with: ${replay}`)
  let steps = 0
  // Not shrunk by fast-check, which tries values: any list of commands makes sense, so leaving out is quicker.
  const done = fc.check(
    fc.property(scene, ({ setting, commands }) => {
      steps += play(setting, commands).steps
    }),
    { numRuns: RUNS, seed: SEED, endOnFailure: true },
  )
  if (done.counterexample !== null) {
    const [{ setting, commands }] = done.counterexample
    throw new Error(failureOf(setting, commands, replay, done.numRuns))
  }
  console.log(`${RUNS} runs, ${steps} steps, no difference`)
  expect(steps).toBeGreaterThan(RUNS)
})

test('the same commands give the same turns', () => {
  fc.assert(
    fc.property(scene, ({ setting, commands }) => {
      const traces = [1, 2].map(() => play(setting, commands, []).trace?.join('\n'))
      expect(traces[0]).toBe(traces[1])
    }),
    { numRuns: 25, seed: SEED },
  )
})
