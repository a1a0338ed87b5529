import { InvalidArgumentError } from 'commander'

/** Options whose value is optional and given with `=` only, by command. */
const WITH_OPTIONAL_VALUE: Readonly<Record<string, string>> = { publish: '--barrier', consume: '--until-barrier' }
const COMMON_WITH_VALUE: readonly string[] = ['--url', '--token', '--token-file', '--progress']

/**
 * Gives a bare `--barrier` an empty value, so that the word behind it is never taken for the barrier's name:
 * in `sluice publish Q --barrier eof`, `eof` is a BODY, and the command can say what is wrong.
 */
export function closeOptionalValues(argv: readonly string[]): string[] {
  const option = WITH_OPTIONAL_VALUE[commandOf(argv) ?? '']
  const end = argv.includes('--') ? argv.indexOf('--') : argv.length
  return argv.map((word, index) => (word === option && index < end ? `${word}=` : word))
}

function commandOf(argv: readonly string[]): string | undefined {
  return argv.find((word, index) => !word.startsWith('-') && !COMMON_WITH_VALUE.includes(argv[index - 1] ?? ''))
}

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `500ms`, `30s`, `5m`, `24h`, `7d`; a bare `0` too. */
export function readDuration(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? []
  if (text === '0') return 0
  if (number === undefined || unit === undefined) {
    throw new InvalidArgumentError('A duration is a number and a unit: 500ms, 30s, 5m, 24h, 7d.')
  }
  return Math.round(Number(number) * UNIT_MS[unit]!)
}

const UNIT_BYTES: Readonly<Record<string, number>> = { '': 1, KiB: 1_024, MiB: 1_048_576, GiB: 1_073_741_824 }

/** `64KiB`, `1MiB`, or a number of bytes. */
export function readSize(text: string): number {
  const [, number, unit] = /^(\d+)(|KiB|MiB|GiB)$/.exec(text) ?? []
  if (number === undefined || unit === undefined) {
    throw new InvalidArgumentError('A size is a number of bytes, or with a unit: 64KiB, 1MiB.')
  }
  return Number(number) * UNIT_BYTES[unit]!
}

/** A reader of whole numbers of at least `least`. */
export function readWhole(least: number): (text: string) => number {
  return text => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (!Number.isSafeInteger(value) || value < least) {
      throw new InvalidArgumentError(`It is a whole number, ${least} or more.`)
    }
    return value
  }
}

export function readNumber(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text)
  if (!Number.isFinite(value)) throw new InvalidArgumentError('It is a number.')
  return value
}

/** Collects `--header k=v` given again and again. */
export function readHeader(text: string, before: Readonly<Record<string, string>> = {}): Record<string, string> {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('A header is given as name=value.')
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) }
}

/** Collects an option given again and again. */
export function readMore(text: string, before: readonly string[] = []): string[] {
  return [...before, text]
}

/** The text itself, once it is known to be JSON: bodies go out as they were written. */
export function readJsonText(text: string): string {
  try {
    JSON.parse(text)
    return text
  } catch (error) {
    throw new InvalidArgumentError(`It is JSON, for example '{"is_eof":1}' (${(error as Error).message}).`)
  }
}
