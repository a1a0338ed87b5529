import { inspect } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { Random } from '../support/random.ts'

/*
 * One way to fuzz everything that reads what others wrote.
 *
 *   SLUICE_FUZZ_INPUTS   inputs for each target; default 20,000, `.ci/run` takes 200,000
 *   SLUICE_FUZZ_SEED     the seed; without it a fresh one, which is printed
 *   SLUICE_FUZZ_ONLY     the number of one input: that one alone, and what it is
 */
const INPUTS = Number(process.env['SLUICE_FUZZ_INPUTS'] ?? 20_000)
const SEED = Number(process.env['SLUICE_FUZZ_SEED'] ?? Date.now() % 1_000_000_000)
const ONLY = process.env['SLUICE_FUZZ_ONLY']

/** Longest time that one input of up to 64 KiB may take. */
const HANG_MS = 50
/** Heap that may be more after all inputs than after a tenth of them: nothing of an input is kept. */
const GROWTH_BYTES = 24 * 2 ** 20

export interface Target<Input> {
  /** The sentence that the test proves. */
  readonly title: string
  readonly make: (random: Random) => Input
  /** Returns if all is as it should be. Catches what the reader may throw, and nothing else. */
  readonly run: (input: Input, random: Random) => void | Promise<void>
  readonly show: (input: Input) => string
  /** Inputs that once broke something or are known to break others; run first, by their names. */
  readonly crafted?: Readonly<Record<string, Input>>
  /** Share of the inputs that this target gets: less than 1 for what reads more than one thing an input. */
  readonly share?: number
  /** Called at the end: what must have happened, so that the inputs are known to reach what they should. */
  readonly reached?: () => void
  /** Longer for what starts servers or timers. */
  readonly hangMs?: number
}

/** Makes a test of a target: the crafted inputs, then as many made ones as asked for. */
export function fuzz<Input>(target: Target<Input>): void {
  test(target.title, { timeout: 600_000 }, async () => {
    if (ONLY !== undefined) return await runOne(target, Number(ONLY), true)
    for (const [name, input] of Object.entries(target.crafted ?? {})) {
      await naming(`the crafted input "${name}"`, target, input, () => judge(target, input, 0))
    }
    const count = Math.max(1, Math.ceil(INPUTS * (target.share ?? 1)))
    let heap = 0
    for (let number = 0; number < count; number++) {
      if (number === Math.ceil(count / 10)) heap = heapUsed()
      await runOne(target, number, false)
    }
    target.reached?.()
    expect(heapUsed() - heap, `heap after ${count} inputs, in bytes`).toBeLessThan(GROWTH_BYTES)
  })
}

async function runOne<Input>(target: Target<Input>, number: number, isShown: boolean): Promise<void> {
  const input = target.make(new Random(seedOf(number)))
  if (isShown) console.log(target.show(input))
  const replay = `SLUICE_FUZZ_SEED=${SEED} SLUICE_FUZZ_ONLY=${number} npx vitest run --project slow test/fuzz -t '${target.title.replaceAll("'", '.')}'`
  const judged = naming(`input ${number}; again: ${replay}\n`, target, input, () => judge(target, input, number))
  // Not awaited when there is nothing to wait for: a million promises would be the dearest part.
  if (judged) await judged
}

function judge<Input>(target: Target<Input>, input: Input, number: number): void | Promise<void> {
  const once = (): void | Promise<void> => target.run(input, new Random(seedOf(number) + 1))
  const startedAt = performance.now()
  const running = once()
  if (running) return running.then(() => expectUnchanged())
  const hangMs = target.hangMs ?? HANG_MS
  if (performance.now() - startedAt > hangMs) {
    // The collector or another process may have been in between: the best of some more counts, in time of the processor.
    const best = Math.min(...Array.from({ length: 4 }, () => processorMs(once)))
    if (best > hangMs) throw new Error(`took ${best.toFixed(0)} ms, at most ${hangMs} are allowed`)
  }
  expectUnchanged()
}

function processorMs(work: () => unknown): number {
  const before = process.cpuUsage()
  work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1_000
}

function naming<Input>(
  which: string,
  target: Target<Input>,
  input: Input,
  work: () => void | Promise<void>,
): void | Promise<void> {
  const fail = (error: unknown): never => {
    const text = target.show(input)
    const shown = text.length > 2_000 ? `${text.slice(0, 2_000)}… (${text.length} characters)` : text
    throw new Error(`${which}${shown}\n${error instanceof Error ? error.stack : String(error)}${diffOf(error)}`)
  }
  try {
    const running = work()
    return running ? running.catch(fail) : undefined
  } catch (error) {
    return fail(error)
  }
}

/** Of a comparison that did not hold. */
function diffOf(error: unknown): string {
  const { actual, expected } = error as { actual?: unknown; expected?: unknown }
  if (actual === undefined && expected === undefined) return ''
  return `\n  shown:  ${inspect(actual, { depth: 9 })}\n  wanted: ${inspect(expected, { depth: 9 })}`
}

/** Inputs next to each other have nothing in common. */
function seedOf(number: number): number {
  return Math.imul(SEED ^ Math.imul(number + 1, 0x9e37_79b1), 0x85eb_ca6b)
}

const PROTOTYPES = [Object.prototype, Array.prototype, Function.prototype, String.prototype, Uint8Array.prototype]
const OWN_NAMES = PROTOTYPES.map(prototype => Reflect.ownKeys(prototype).length)

function expectUnchanged(): void {
  for (let index = 0; index < PROTOTYPES.length; index++) {
    if (Reflect.ownKeys(PROTOTYPES[index]!).length !== OWN_NAMES[index]) throw new Error('a prototype was changed')
  }
}

const collect = collector()

function collector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}

function heapUsed(): number {
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** What `expect(…).toBe(…)` says, at a hundredth of its price: it is asked a million times. */
export function same(shown: unknown, wanted: unknown, what = 'value'): void {
  if (!Object.is(shown, wanted)) expect(shown, what).toBe(wanted)
}

/** What a reader made of something: its value, or the error that it may give. */
export type Outcome<Value> = { readonly value: Value } | { readonly error: string }

/** @param isExpected whether this is an error of the reader's own; others are thrown on */
export function outcomeOf<Value>(read: () => Value, isExpected: (error: unknown) => boolean): Outcome<Value> {
  try {
    return { value: read() }
  } catch (error) {
    if (!isExpected(error)) throw error
    return { error: String((error as Error).message) }
  }
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}

export function printable(text: string): string {
  return JSON.stringify(text)
}
