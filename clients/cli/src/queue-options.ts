import { type Command, Option } from 'commander'
import { readDuration, readJsonText, readMore, readSize, readWhole } from './arguments.ts'
import type { Document } from './http.ts'

type Read = (text: string, before?: readonly string[]) => unknown

/** Flag, what it does, and how it is read or what it can be. */
type Flag = readonly [flags: string, description: string, values?: Read | readonly string[]]

/**
 * Every option of a queue, as flags of `declare` and `update`: `--deliveries-max` is `deliveries_max`. What can be
 * without a limit takes `none` as well.
 */
const FLAGS: readonly Flag[] = [
  ['--barrier <expression>', 'a message it matches is a barrier: "/is_eof = 1"'],
  ['--lease <duration>', 'how long a delivery may stay unsettled', orNone(durationText)],
  ['--deliveries-max <count>', 'attempts before a message is dead-lettered', orNone(readWhole(1))],
  ['--retry-delay <duration|json>', 'wait before a nacked message comes back', readRetryDelay],
  ['--dead-letter <queue>', 'queue for dead letters, or "drop" (default: NAME.dead)'],
  ['--expiration <duration>', 'time to live of a message', orNone(durationText)],
  ['--semantics <how>', 'default at-least-once', ['at-least-once', 'at-most-once']],
  ['--filter <expression>', 'only matching messages may be published'],
  ['--priority <expression>', 'who goes first; "property": the message says'],
  ['--group <expression>', 'what is delivered one at a time, in order'],
  ['--fairness <how>', 'default proportional', ['proportional', 'round-robin', 'fast']],
  ['--acks <who>', 'who may settle; default holder', ['holder', 'any']],
  ['--prefetch-max <count>', 'most credit of one subscription', readWhole(1)],
  ['--prefetch-bytes <size>', 'most body bytes out at one subscription', sizeText],
  ['--unacked-max <count>', 'most leased messages of the queue', orNone(readWhole(1))],
  ['--messages-max <count>', 'most live messages', orNone(readWhole(1))],
  ['--bytes-max <size>', 'most live body bytes', orNone(sizeText)],
  ['--overflow <how>', 'at that limit; default refuse', ['refuse', 'drop-oldest', 'dead-letter-oldest']],
  ['--dedupe-window <duration>', 'how long message ids are remembered', durationText],
  ['--dedupe-max <count>', 'how many message ids are remembered', readWhole(1)],
  ['--on-dead <how>', 'what a dead letter does to its batch; default count', ['count', 'hold', 'fail']],
  ['--deadline-rest <how>', 'rest of a batch ended early', ['carry', 'dead-letter', 'drop']],
  ['--forward-barrier <queue>', 'where a released barrier goes on to; again for more', readMore],
  ['--announce <queue>', 'where a message tells of each released barrier'],
  ['--barriers-max <count>', 'most waiting barriers', readWhole(1)],
  ['--barrier-records <count>', 'released barriers whose record is kept', readWhole(1)],
]

/** Gives a command all options of a queue. */
export function withQueueOptions(command: Command): Command {
  for (const [flags, description, values] of FLAGS) {
    const option = new Option(flags, description)
    if (typeof values === 'function') option.argParser(values as (text: string, before: unknown) => unknown)
    else if (values !== undefined) option.choices(values)
    command.addOption(option)
  }
  return command
}

/** The options that were given, and only those: a queue compares no others. */
export function queueOptionsOf(given: Document): Document {
  const entries = FLAGS.flatMap(([flags]) => {
    const option = new Option(flags)
    const value = given[option.attributeName()]
    return value === undefined ? [] : [[option.name().replaceAll('-', '_'), value] as const]
  })
  return Object.fromEntries(entries)
}

function orNone(read: (text: string) => unknown): Read {
  return text => (text === 'none' ? text : read(text))
}

/** Durations and sizes go out as they were written, once they are known to be some. */
function durationText(text: string): string {
  readDuration(text)
  return text
}

function sizeText(text: string): string {
  readSize(text)
  return text
}

/** `5s`, or `{"base":"1s","factor":2,"max":"1m","jitter":true}`. */
function readRetryDelay(text: string): unknown {
  return text.startsWith('{') ? JSON.parse(readJsonText(text)) : durationText(text)
}
