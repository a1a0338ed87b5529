import { MessageCursor, type MessageProperties } from '@sluice/protocol'
import type { QueueOptions } from '../core/options.ts'
import type { Queue } from '../core/queue.ts'
import { type Refusal, refuse } from '../core/refusals.ts'
import type { Predicate } from '../core/subscription.ts'
import { compileFilter, type Filter, FilterError, type FilterPurpose, type FilterSubject } from '../filters/index.ts'
import type { Bodies } from './bodies.ts'

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

export function compile(text: string, purpose: FilterPurpose): Filter | Refusal {
  try {
    return compileFilter(text, { purpose, now: () => Date.now() / 1000 })
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

/** A subscription's filter as the core takes it. */
export function predicateOf(filter: Filter, queue: Queue, bodies: Bodies): Predicate {
  const subject = new Subject()
  return {
    text: filter.text,
    matches(sequence) {
      const cursor = bodies.find(queue.id, sequence)
      return cursor !== undefined && filter.matches(subject.at(cursor, queue.name))
    },
    matchesBarrier({ bytes, outcome }) {
      const cursor = new MessageCursor().open(bytes)
      subject.outcome = outcome
      const matches = cursor.next() && filter.matches(subject.at(cursor, queue.name))
      subject.outcome = undefined
      return matches
    },
  }
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
