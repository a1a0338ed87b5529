import { MessageCursor, type MessageProperties } from '@sluice/protocol'
import type { QueueOptions } from '../core/options.ts'
import type { Queue } from '../core/queue.ts'
import { type Refusal, refuse } from '../core/refusals.ts'
import type { Predicate } from '../core/subscription.ts'
import { compileFilter, type Filter, FilterError, type FilterPurpose, type FilterSubject } from '../filters/index.ts'
import type { Bodies } from './bodies.ts'
import type { ContentFilter } from './entitlement.ts'

/** Names that expressions use for properties: `[/$content_type]`. */
const PROPERTY_NAMES: Readonly<Record<string, keyof MessageProperties>> = {
  priority: 'priority',
  content_type: 'contentType',
  message_id: 'messageId',
  correlation_id: 'correlationId',
  reply_to: 'replyTo',
  group: 'group',
}

/** A message as a filter sees it; one object serves all, moved from message to message. */
export class Subject implements FilterSubject {
  bytes: Uint8Array = new Uint8Array(0)
  start = 0
  end = 0
  queue = ''
  /** Of a barrier. */
  outcome: string | undefined
  #cursor: MessageCursor = new MessageCursor()
  #properties: MessageProperties | undefined
  #isRead = false

  at(cursor: MessageCursor, queue: string): this {
    this.bytes = cursor.bytes
    this.start = cursor.bodyStart
    this.end = cursor.bodyEnd
    this.queue = queue
    this.#cursor = cursor
    this.#isRead = false
    return this
  }

  /** Read at most once a message, and only if an expression asks. */
  get #read(): MessageProperties | undefined {
    if (!this.#isRead) {
      this.#isRead = true
      this.#properties = this.#cursor.properties()
    }
    return this.#properties
  }

  property(name: string): string | number | boolean | undefined {
    if (name === 'outcome') return this.outcome
    const key = Object.hasOwn(PROPERTY_NAMES, name) ? PROPERTY_NAMES[name] : undefined
    const value = key === undefined ? undefined : this.#read?.[key]
    return typeof value === 'object' ? undefined : value
  }

  header(name: string): string | number | boolean | Uint8Array | undefined {
    const headers = this.#read?.headers
    return headers !== undefined && Object.hasOwn(headers, name) ? headers[name] : undefined
  }
}

const OPTIONS = ['barrier', 'filter', 'priority', 'group'] as const

/** The expressions of a queue, compiled. Of priority and group also absent when the option says `property`. */
export type QueueExpressions = Readonly<Record<(typeof OPTIONS)[number], Filter | undefined>>

/** @param isStrict of what somebody is entitled to: what cannot be read in one way only does not match */
export function compile(text: string, purpose: FilterPurpose, isStrict = false): Filter | Refusal {
  try {
    return compileFilter(text, { purpose, isStrict, now: () => Date.now() / 1000 })
  } catch (error) {
    if (!(error instanceof FilterError)) throw error
    return refuse('bad-filter', error.message, { column: error.column, expected: error.expected, expression: text })
  }
}

export function isRefusal(value: unknown): value is Refusal {
  return typeof value === 'object' && value !== null && 'code' in value && 'detail' in value
}

/** Compiles what a queue's options say. */
export function compileOptions(options: Pick<QueueOptions, (typeof OPTIONS)[number]>): QueueExpressions | Refusal {
  const compiled: Record<(typeof OPTIONS)[number], Filter | undefined> = {
    barrier: undefined,
    filter: undefined,
    priority: undefined,
    group: undefined,
  }
  for (const option of OPTIONS) {
    const text = options[option]
    if (text === undefined || (text === 'property' && (option === 'priority' || option === 'group'))) continue
    const filter = compile(text, 'queue')
    if (isRefusal(filter))
      return { ...filter, detail: `${option}: ${filter.detail}`, facts: { ...filter.facts, option } }
    compiled[option] = filter
  }
  return compiled
}

/** What a subscription wishes and is entitled to, as the core takes it; one of the two is there. */
export interface EnginePredicate extends Predicate {
  readonly content: ContentFilter | undefined
}

/** Both must match (D1, B5). Subscriptions that wish and are entitled to the same share a line. */
export function predicateOf(
  filter: Filter | undefined,
  content: ContentFilter | undefined,
  queue: Queue,
  bodies: Bodies,
): EnginePredicate {
  const subject = new Subject()
  const isMatch = () => filter?.matches(subject) !== false && content?.matches(subject) !== false
  return {
    text: content === undefined ? (filter?.text ?? '') : `${filter?.text ?? ''}\u0000${content.text}`,
    content,
    matches(sequence) {
      const cursor = bodies.find(queue.id, sequence)
      if (cursor === undefined) return false
      subject.at(cursor, queue.name)
      return isMatch()
    },
    matchesBarrier({ bytes, outcome }) {
      subject.outcome = outcome
      const matches = isRecordMatch(bytes, queue.name, subject, isMatch)
      subject.outcome = undefined
      return matches
    },
  }
}

/** Whether somebody entitled to this may know of a barrier. */
export function isBarrierOf(
  content: ContentFilter,
  { bytes, outcome }: { readonly bytes: Uint8Array; readonly outcome?: string },
  queue: string,
): boolean {
  const subject = new Subject()
  subject.outcome = outcome
  return isRecordMatch(bytes, queue, subject, () => content.matches(subject))
}

function isRecordMatch(bytes: Uint8Array, queue: string, subject: Subject, isMatch: () => boolean): boolean {
  const cursor = new MessageCursor().open(bytes)
  if (!cursor.next()) return false
  subject.at(cursor, queue)
  return isMatch()
}

/** What a subscription is entitled to, if not to all. */
export function contentOf(predicate: Predicate | undefined): ContentFilter | undefined {
  return (predicate as EnginePredicate | undefined)?.content
}

/** A body that is no message yet, for trying out an expression. */
export class TestSubject implements FilterSubject {
  readonly bytes: Uint8Array
  readonly start = 0
  readonly end: number
  readonly queue = ''

  constructor(body: Uint8Array) {
    this.bytes = body
    this.end = body.length
  }

  property(): undefined {}
  header(): undefined {}
}
