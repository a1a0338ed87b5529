import { expressionRule } from './expressions.ts'
import { readInterval } from './interval.ts'
import type { TomlValue } from './toml.ts'

/** How an element was taken over. */
export type Taken = 'exactly' | 'approximately' | 'not'

/** What becomes of one element. */
export interface Outcome {
  readonly taken: Taken
  /** Options of the queue here, by name. */
  readonly options?: Readonly<Record<string, TomlValue>>
  /** What is different, or what to do instead: a sentence without its full stop. */
  readonly why?: string
}

/** The text of another element of the same queue. */
export type Other = (name: string) => string | undefined

type Rule = (value: string, other: Other) => Outcome

/** Every element of a queue that is known, beside its name. Source: the public documentation of AMPS 5.3. */
export const RULES: Readonly<Record<string, Rule>> = {
  MessageType: value =>
    value === 'json'
      ? exactly({})
      : approximately({}, 'bodies of any kind are kept as they are, but expressions read JSON only'),
  UnderlyingTopic: (value, other) =>
    value === nameOf(other)
      ? exactly({})
      : not(`there are no topics here; what is published to ${value} is to be published to the queue itself`),
  DefaultPublishTarget: (value, other) =>
    value === nameOf(other)
      ? exactly({})
      : approximately(
          {},
          `what is published to the queue is in it at once; there is no topic ${value} that others could read`,
        ),
  Semantics: oneOf('semantics', { 'at-least-once': 'at-least-once', 'at-most-once': 'at-most-once' }),
  LeasePeriod: (value, other) =>
    isAtMostOnce(other) ? not('an at-most-once queue has no leases') : interval('lease', value),
  Expiration: expiration,
  ExpirationModel: value =>
    value === 'earliest' ? exactly({}) : not('the shorter one of queue and message wins here ("earliest")'),
  MaxBacklog: value => count('unacked_max', value),
  MaxPerSubscriptionBacklog: value => count('prefetch_max', value, PREFETCH_MAX),
  MaxDeliveries: (value, other) => {
    if (isNoLimit(value)) return exactly({})
    if (isAtMostOnce(other)) return not('an at-most-once queue delivers once')
    return count('deliveries_max', value, undefined, `${COUNTED}; ${deadLetters(other)}`)
  },
  MaxCancels: cancels,
  FairnessModel: (value, other) =>
    isAtMostOnce(other) && value !== 'round-robin'
      ? not('AMPS has only round-robin for at-most-once')
      : oneOf('fairness', { fast: 'fast', 'round-robin': 'round-robin', proportional: 'proportional' })(value),
  Leasing: (value, other) => {
    if (isAtMostOnce(other)) return not('an at-most-once queue has no leases')
    if (value === 'strict') {
      return approximately(
        { acks: 'holder' },
        'the ack of a message that nobody holds any more is refused here, and counts in AMPS',
      )
    }
    return oneOf('acks', { sublet: 'any' })(value)
  },
  Priority: expressionRule(
    'priority',
    'AMPS reads an unsigned whole number; here negative and broken numbers count as they are',
  ),
  BarrierExpression: (value, other) =>
    expressionRule(
      'barrier',
      other('Expiration') === undefined ? undefined : 'a waiting barrier never expires here; the messages before it do',
    )(value, other),
  Filter: expressionRule(
    'filter',
    'a publish that does not match is refused here; in AMPS it only stays out of the queue',
  ),
  TargetQueueDepth: () =>
    not('bodies beyond the memory of the server (memory_max) are read back from disk here, without a depth to set'),
  FileBackedMetadata: () => not('there is nothing to set here: a backlog is bounded by disk, not by memory'),
  RecoveryPoint: () => not('a queue begins empty here, for there is no log of a topic that it could start from'),
  DeferredAckExpiration: () => not('acks of messages that are not there yet come from replication, which is not here'),
  InitialOwner: () => not('there is one server, which owns all of its queues'),
  GroupLocalQueueDomain: () => not('there is one server, which owns all of its queues'),
}

/** What AMPS does where an element is not given, if we do otherwise. */
export const DEFAULTS: Readonly<Record<string, Rule>> = {
  MaxPerSubscriptionBacklog: () =>
    exactly({ prefetch_max: 1 }, 'one message at a time for each subscription; more is faster'),
  Leasing: (_, other) =>
    isAtMostOnce(other) ? exactly({}) : exactly({ acks: 'any' }, '"sublet": whoever consumes may ack'),
  FairnessModel: (_, other) =>
    isAtMostOnce(other) ? exactly({ fairness: 'round-robin' }, 'the one of at-most-once') : exactly({}),
}

const PREFETCH_MAX = 65_535
const COUNT_MAX = 1_000_000_000
const COUNTED = 'attempts are counted over a restart, and what only waited in a buffer is not counted'

function nameOf(other: Other): string | undefined {
  return other('Name') ?? other('Topic')
}

function deadLetters(other: Other): string {
  return `then the message goes to ${nameOf(other)}.dead (dead_letter = "drop" is what AMPS does without an action)`
}

function isAtMostOnce(other: Other): boolean {
  return other('Semantics') === 'at-most-once'
}

function isNoLimit(value: string): boolean {
  return /^0+$/.test(value)
}

function expiration(value: string, other: Other): Outcome {
  if (value === 'disabled') return exactly({})
  if (value === 'enabled') return approximately({}, 'nothing to set: the ttl of a message always counts')
  const model = other('ExpirationModel') ?? 'default'
  const wins = model === 'earliest' ? [] : ["of the queue's time and a message's own ttl the shorter one wins"]
  const taken = interval('expiration', value)
  return taken.taken === 'not'
    ? taken
    : approximately(taken.options ?? {}, [taken.why, ...wins, deadLetters(other)].filter(Boolean).join('; '))
}

/** A cancel is a nack here, and counts among the deliveries. */
function cancels(value: string, other: Other): Outcome {
  if (isNoLimit(value)) return exactly({})
  if (isAtMostOnce(other)) return not('an at-most-once queue takes nothing back')
  const deliveries = other('MaxDeliveries') ?? '0'
  if (isNoLimit(deliveries)) {
    return count(
      'deliveries_max',
      value,
      undefined,
      'a cancel is a nack here, and leases that ran out are counted with them',
    )
  }
  if (Number(value) >= Number(deliveries)) return exactly({}, 'MaxDeliveries is reached first')
  return not(`nacks are not counted apart; deliveries_max = ${value} would count leases that ran out as well`)
}

function interval(option: string, value: string): Outcome {
  const read = readInterval(value)
  if (typeof read === 'string') return not(read)
  const options = { [option]: read.duration }
  return read.why === undefined ? exactly(options) : approximately(options, read.why)
}

function count(option: string, value: string, max: number = COUNT_MAX, why?: string): Outcome {
  const given = /^\d+$/.test(value) ? Number(value) : Number.NaN
  if (!(given >= 1)) return not('it is no whole number from 1')
  if (given > max) return approximately({ [option]: max }, `${max} is the most here`)
  return why === undefined ? exactly({ [option]: given }) : approximately({ [option]: given }, why)
}

function oneOf(option: string, words: Readonly<Record<string, string>>): (value: string) => Outcome {
  return value =>
    Object.hasOwn(words, value)
      ? exactly({ [option]: words[value]! })
      : not(`it is not ${Object.keys(words).join(' or ')}`)
}

function exactly(options: Readonly<Record<string, TomlValue>>, why?: string): Outcome {
  return { taken: 'exactly', options, ...(why === undefined ? {} : { why }) }
}

function approximately(options: Readonly<Record<string, TomlValue>>, why: string): Outcome {
  return { taken: 'approximately', options, why }
}

function not(why: string): Outcome {
  return { taken: 'not', why }
}
