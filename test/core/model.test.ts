import fc from 'fast-check'
import { expect, test } from 'vitest'
import { command, Play, setting } from './model/commands.ts'
import { Drive } from './model/drive.ts'

const RUNS = Number(process.env['SLUICE_MODEL_RUNS'] ?? 500)
const SEED = Number(process.env['SLUICE_MODEL_SEED'] ?? Date.now() % 2 ** 31)
/** Where a failure was shrunk to, as fast-check prints it: replays that one alone. */
const PATH = process.env['SLUICE_MODEL_PATH']
const COMMANDS_MAX = 200

const scene = fc.record({
  setting,
  commands: fc.array(command, { minLength: 1, maxLength: COMMANDS_MAX, size: 'max' }),
})

test('the core does what the reference model does, whatever comes', { timeout: 600_000 }, () => {
  const replay = `SLUICE_MODEL_SEED=${SEED} SLUICE_MODEL_RUNS=${RUNS} npx vitest run --project unit test/core/model.test.ts`
  console.log(`replay with: ${replay}`)
  let steps = 0
  fc.assert(
    fc.property(scene, ({ setting, commands }) => {
      const drive = new Drive()
      const play = new Play(drive, setting)
      for (const command of commands) play.play(command)
      play.finish()
      steps += drive.steps
    }),
    { numRuns: RUNS, seed: SEED, ...(PATH === undefined ? {} : { path: PATH }) },
  )
  console.log(`${RUNS} runs, ${steps} steps, no difference`)
  if (PATH === undefined) expect(steps).toBeGreaterThan(RUNS)
})

test('the same commands give the same turns', () => {
  fc.assert(
    fc.property(scene, ({ setting, commands }) => {
      const traces = [1, 2].map(() => {
        const drive = new Drive()
        drive.trace = []
        const play = new Play(drive, setting)
        for (const command of commands) play.play(command)
        return drive.trace.join('\n')
      })
      expect(traces[0]).toBe(traces[1])
    }),
    { numRuns: 25, seed: SEED },
  )
})
