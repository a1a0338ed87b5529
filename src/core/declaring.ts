import { type Misread, parseDuration, parseSize } from './durations.ts'
import { DEFAULT_OPTIONS, type QueueOptions, type RetryDelay } from './options.ts'
import { type Refusal, refuse } from './refusals.ts'

/** A hand for the widest range that is surely meant: more is a typing error. */
const COUNT_MAX = 1_000_000_000
export const NAME_BYTES_MAX = 255

type Read = (value: unknown) => unknown | Misread
interface Reader {
  readonly key: keyof QueueOptions
  readonly read: Read
}

/** Every option of a queue, by the name that people type, with what it takes. */
const READERS: Readonly<Record<string, Reader>> = {
  semantics: { key: 'semantics', read: oneOf('at-least-once', 'at-most-once') },
  barrier: { key: 'barrier', read: orNone(text) },
  barriers_max: { key: 'barriersMax', read: count(1) },
  barrier_records: { key: 'barrierRecords', read: count(1) },
  on_dead: { key: 'onDead', read: oneOf('count', 'hold', 'fail') },
  deadline_rest: { key: 'deadlineRest', read: oneOf('carry', 'dead-letter', 'drop') },
  forward_barrier: { key: 'forwardBarrier', read: names },
  announce: { key: 'announce', read: orNone(name) },
  filter: { key: 'filter', read: orNone(text) },
  priority: { key: 'priority', read: orNone(text) },
  group: { key: 'group', read: orNone(text) },
  lease: {
    key: 'leaseMs',
    read: value => (value === 'none' || value === null ? undefined : atLeast(parseDuration(value), 1, value)),
  },
  acks: { key: 'acks', read: oneOf('holder', 'any') },
  prefetch_max: { key: 'prefetchMax', read: count(1, 65_535) },
  prefetch_bytes: { key: 'prefetchBytes', read: parseSize },
  unacked_max: { key: 'unackedMax', read: orNone(count(1)) },
  fairness: { key: 'fairness', read: oneOf('proportional', 'round-robin', 'fast') },
  deliveries_max: { key: 'deliveriesMax', read: orNone(count(1)) },
  retry_delay: { key: 'retryDelay', read: retryDelay },
  dead_letter: { key: 'deadLetter', read: orNone(value => (value === 'drop' ? value : name(value))) },
  expiration: { key: 'expirationMs', read: orNone(value => atLeast(parseDuration(value), 1, value)) },
  messages_max: { key: 'messagesMax', read: orNone(count(1)) },
  bytes_max: { key: 'bytesMax', read: orNone(value => atLeast(parseSize(value), 1, value)) },
  overflow: { key: 'overflow', read: oneOf('refuse', 'drop-oldest', 'dead-letter-oldest') },
  dedupe_window: { key: 'dedupeWindowMs', read: parseDuration },
  dedupe_max: { key: 'dedupeMax', read: count(1) },
}

/** Options that were given, checked; what was not given is absent. */
export type GivenOptions = Partial<QueueOptions>

/** Reads options as people give them. */
export function readOptions(input: Readonly<Record<string, unknown>>): GivenOptions | Refusal {
  const given: Record<string, unknown> = {}
  for (const [option, value] of Object.entries(input)) {
    const reader = Object.hasOwn(READERS, option) ? READERS[option] : undefined
    if (reader === undefined) return refuse('invalid-options', `there is no queue option "${option}"`, { option })
    const read = reader.read(value)
    if (isMisread(read)) return refuse('invalid-options', `${option}: ${read.problem}`, { option })
    given[reader.key] = read
  }
  return given as GivenOptions
}

/** The options given, and for the others those that were there before; an option given as `none` goes. */
export function withDefaults(given: GivenOptions, before: QueueOptions = DEFAULT_OPTIONS): QueueOptions {
  const options: Record<string, unknown> = { ...before }
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined) delete options[key]
    else options[key] = value
  }
  return options as unknown as QueueOptions
}

/** What cannot go together, in a sentence that says why. */
export function contradictionIn(name: string, options: QueueOptions): Refusal | undefined {
  const no = (option: string, why: string) => refuse('invalid-options', `${option}: ${why}`, { option })
  if (options.semantics === 'at-most-once') {
    const why = 'an at-most-once queue settles a message as it sends it, so there is nothing to come back'
    if (options.leaseMs !== undefined) return no('lease', why)
    if (options.deliveriesMax !== undefined) return no('deliveries_max', why)
    if (options.retryDelay.baseMs > 0) return no('retry_delay', why)
  }
  if (options.deadLetter === name) return no('dead_letter', `${name} → ${name} goes round in a circle`)
  if (options.announce === name) {
    return no('announce', `"${name}" would tell itself of its barriers, among the messages that they close`)
  }
  if (options.deadLetter === 'drop' && options.onDead === 'hold') {
    return no(
      'on_dead',
      'hold waits until a dead letter is dealt with, and with dead_letter = "drop" there is none to deal with',
    )
  }
  if (options.deadLetter === 'drop' && options.overflow === 'dead-letter-oldest') {
    return no('overflow', 'dead-letter-oldest needs a queue for dead letters, and dead_letter is "drop"')
  }
  return undefined
}

/** Names of the options given that differ from those of a queue; what was not given is not compared. */
export function differing(queue: QueueOptions, given: GivenOptions): string[] {
  return Object.entries(READERS)
    .filter(([, { key }]) => Object.hasOwn(given, key) && JSON.stringify(given[key]) !== JSON.stringify(queue[key]))
    .map(([option]) => option)
}

/** Why this is no name for a queue; undefined when it is one. */
export function badName(value: string): string | undefined {
  const bytes = utf8Bytes(value)
  if (bytes === 0) return 'a queue name is not empty'
  if (bytes > NAME_BYTES_MAX) return `a queue name has at most ${NAME_BYTES_MAX} bytes, this one ${bytes}`
  if (value === '.' || value === '..') return 'a queue is not named "." or ".."'
  if (value.startsWith('$')) return 'a queue name does not start with "$"'
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
  if (/[\u0000-\u001f\u007f-\u009f]/.test(value)) return 'a queue name has no control characters'
  if (/\p{Surrogate}/u.test(value)) return 'a queue name is well-formed Unicode'
  return undefined
}

function utf8Bytes(value: string): number {
  let bytes = 0
  for (const character of value) {
    const code = character.codePointAt(0) as number
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4
  }
  return bytes
}

function isMisread(value: unknown): value is Misread {
  return typeof value === 'object' && value !== null && 'problem' in value
}

function misread(value: unknown, wanted: string): Misread {
  return { problem: `${JSON.stringify(value) ?? String(value)} is not ${wanted}` }
}

function oneOf(...words: readonly string[]): Read {
  return value =>
    words.includes(value as string) ? value : misread(value, words.map(word => `"${word}"`).join(' or '))
}

function text(value: unknown): unknown | Misread {
  return typeof value === 'string' && value !== '' ? value : misread(value, 'a text')
}

function count(min: number, max: number = COUNT_MAX): Read {
  return value =>
    Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max
      ? value
      : misread(value, `a whole number from ${min} to ${max}`)
}

function orNone(read: Read): Read {
  return value => (value === 'none' || value === null ? undefined : read(value))
}

function atLeast(read: number | Misread, min: number, value: unknown): number | Misread {
  return typeof read === 'number' && read < min ? misread(value, `at least ${min}`) : read
}

function name(value: unknown): unknown | Misread {
  if (typeof value !== 'string') return misread(value, 'the name of a queue')
  const problem = badName(value)
  return problem === undefined ? value : { problem }
}

function names(value: unknown): unknown | Misread {
  if (value === 'none' || value === null) return []
  if (!Array.isArray(value)) return name(value) instanceof Object ? misread(value, 'a list of queue names') : [value]
  return value.map(name).find(isMisread) ?? value
}

function retryDelay(value: unknown): RetryDelay | Misread {
  if (typeof value !== 'object' || value === null) {
    const ms = parseDuration(value)
    return typeof ms === 'number' ? { ...DEFAULT_OPTIONS.retryDelay, baseMs: ms } : ms
  }
  const { base, factor = 2, max, jitter = false, ...rest } = value as Record<string, unknown>
  const [unknown] = Object.keys(rest)
  if (unknown !== undefined)
    return { problem: `there is no "${unknown}" in a retry delay: it has base, factor, max and jitter` }
  const baseMs = parseDuration(base)
  if (isMisread(baseMs)) return { problem: `base: ${baseMs.problem}` }
  const maxMs = max === undefined ? DEFAULT_OPTIONS.retryDelay.maxMs : parseDuration(max)
  if (isMisread(maxMs)) return { problem: `max: ${maxMs.problem}` }
  if (typeof factor !== 'number' || !(factor >= 1 && factor <= 100)) return misread(factor, 'a factor from 1 to 100')
  if (typeof jitter !== 'boolean') return misread(jitter, 'true or false')
  return { baseMs, factor, maxMs, jitter }
}
