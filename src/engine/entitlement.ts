import { type Refusal, refuse } from '../core/refusals.ts'
import type { FilterSubject } from '../filters/index.ts'
import { compile, isRefusal } from './expressions.ts'
import type { Permission, Principal, Right } from './principal.ts'

/** Which messages are meant: those that match one of the filters of a permission. */
export interface ContentFilter {
  readonly text: string
  matches(subject: FilterSubject): boolean
  /** As a filter's; absent: not worth counting. */
  readonly lastCost?: number
}

/** What is allowed on one queue; without `content` all of it. */
export interface Allowed {
  readonly content?: ContentFilter
}

/** What a publish to one queue is judged by, message by message, as it is read. */
export interface PublishGuard {
  /** No message needs to be looked at but barriers. */
  readonly allowsMessages: boolean
  message(subject: FilterSubject): Refusal | undefined
  /** @param forward queues that the barrier is to go on to */
  barrier(subject: FilterSubject, forward: readonly string[]): Refusal | undefined
}

/** Rights by which somebody has to do with what becomes of a batch. */
const ABOUT_BATCHES = ['consume', 'browse', 'barrier', 'admin'] as const
const ANY = [...ABOUT_BATCHES, 'publish'] as const

/** Texts that are kept compiled, for all parties together. */
const COMPILED_MAX = 1_000
/** Refusals of one party that are told; a program that asks again and again must not fill the log. */
const TOLD_MAX = 100
/** Queues that one party publishes to; beyond it the judges are made anew. */
const GUARDS_MAX = 1_000

export const ALL: Allowed = {}
const compiled = new Map<string, ContentFilter>()

/**
 * What one party may do. Every answer is about names alone: the right is looked for before the queue is, so whoever has
 * none hears the same of a queue that is there and of one that is not.
 */
export class Entitlement {
  readonly principal: Principal
  readonly #refused: (right: string, queue: string) => void
  readonly #told = new Set<string>()
  /** By queue, so that a frame costs one look-up. */
  readonly #guards = new Map<string, PublishGuard | Refusal>()

  /** @param refused told of the first refusal of each right on each queue */
  constructor(principal: Principal, refused: (right: string, queue: string) => void) {
    this.principal = principal
    this.#refused = refused
  }

  allow(queue: string, right: Right): Allowed | Refusal {
    return this.#anyOf(queue, [right]) ?? this.#refuse(right, queue)
  }

  /** Of several rights any will do, and the widest counts. */
  allowHoldouts(queue: string): Allowed | Refusal {
    return this.#anyOf(queue, ['browse', 'barrier', 'admin']) ?? this.#refuse('browse', queue)
  }

  allowBarriers(queue: string): Allowed | Refusal {
    return this.#anyOf(queue, ABOUT_BATCHES) ?? this.#refuse('browse', queue)
  }

  allowState(queue: string): Allowed | Refusal {
    return this.knows(queue) ? (this.#anyOf(queue, ABOUT_BATCHES) ?? NOTHING) : this.#refuse('browse', queue)
  }

  /** Whether there is any right at all, so that the queue is in a list. */
  knows(queue: string): boolean {
    return ANY.some(right => this.principal.may(queue, right) !== undefined)
  }

  /** For a frame of messages: one look-up, however many there are. */
  publishing(queue: string): PublishGuard | Refusal {
    const known = this.#guards.get(queue)
    if (known !== undefined) return known
    const guard = this.#guardOf(queue)
    if (this.#guards.size >= GUARDS_MAX) this.#guards.clear()
    this.#guards.set(queue, guard)
    return guard
  }

  #guardOf(queue: string): PublishGuard | Refusal {
    const messages = this.#anyOf(queue, ['publish'])
    const barriers = this.#anyOf(queue, ['barrier'])
    if (messages === undefined && barriers === undefined) return this.#refuse('publish', queue)
    return {
      allowsMessages: messages !== undefined && messages.content === undefined,
      message: subject => this.#judge(messages, 'publish', queue, subject),
      barrier: (subject, forward) => {
        const refusal = this.#judge(barriers, 'barrier', queue, subject)
        if (refusal !== undefined) return refusal
        for (const target of forward) {
          const refused = this.#judge(this.#anyOf(target, ['barrier']), 'barrier', target, subject)
          if (refused !== undefined) return refused
        }
        return undefined
      },
    }
  }

  #judge(allowed: Allowed | undefined, right: Right, queue: string, subject: FilterSubject): Refusal | undefined {
    if (allowed === undefined) return this.#refuse(right, queue)
    if (allowed.content === undefined || allowed.content.matches(subject)) return undefined
    this.#tell(right, queue)
    return refuse('not-allowed', `this token may ${VERBS[right]} queue "${queue}" only what its filter matches`, {
      right,
      queue,
    })
  }

  /**
   * What options of a queue would do to others: dead letters and announcements are published there, barriers are barriers
   * there. A queue's own `NAME.dead` belongs to it.
   */
  checkTargets(
    name: string,
    options: { readonly dead_letter?: unknown; readonly forward_barrier?: unknown; readonly announce?: unknown },
  ): Refusal | undefined {
    const { dead_letter: deadLetter, forward_barrier: forward, announce } = options
    if (typeof deadLetter === 'string' && deadLetter !== 'drop' && deadLetter !== `${name}.dead`) {
      const refusal = this.#whole(deadLetter, 'publish')
      if (refusal !== undefined) return refusal
    }
    if (typeof announce === 'string' && announce !== 'none') {
      const refusal = this.#whole(announce, 'publish')
      if (refusal !== undefined) return refusal
    }
    for (const target of [forward].flat()) {
      const refusal = typeof target === 'string' ? this.#whole(target, 'barrier') : undefined
      if (refusal !== undefined) return refusal
    }
    return undefined
  }

  /** The right without a filter: nobody is there to judge each message by it later. */
  #whole(queue: string, right: Right): Refusal | undefined {
    const allowed = this.allow(queue, right)
    if (isRefusal(allowed)) return allowed
    return allowed.content === undefined ? undefined : this.#refuse(right, queue)
  }

  #anyOf(queue: string, rights: readonly Right[]): Allowed | undefined {
    const texts: string[] = []
    let isAllowed = false
    for (const right of rights) {
      const permission: Permission | undefined = this.principal.may(queue, right)
      if (permission === undefined) continue
      if (permission.filters === undefined) return ALL
      isAllowed = true
      texts.push(...permission.filters)
    }
    return isAllowed ? { content: contentFilter(texts) } : undefined
  }

  #refuse(right: Right, queue: string): Refusal {
    this.#tell(right, queue)
    return notAllowed(right, queue)
  }

  #tell(right: Right, queue: string): void {
    const key = `${right} ${queue}`
    if (this.#told.has(key) || this.#told.size >= TOLD_MAX) return
    this.#told.add(key)
    this.#refused(right, queue)
  }
}

const VERBS: Readonly<Record<Right, string>> = {
  publish: 'publish to',
  consume: 'consume from',
  browse: 'look at',
  barrier: 'put a barrier into',
  admin: 'administer',
}

function notAllowed(right: Right, queue: string): Refusal {
  return refuse('not-allowed', `this token may not ${VERBS[right]} queue "${queue}"`, { right, queue })
}

/** Matches nothing: of a queue that somebody only publishes to nothing is counted for it. */
const NOTHING: Allowed = { content: { text: '', matches: () => false } }

/** Nobody's: what is needed is a principal, and there is none. */
export const NOBODY: Principal = { name: '', isAdmin: false, may: () => undefined }

function contentFilter(texts: readonly string[]): ContentFilter {
  const filters = [...new Set(texts)].sort().map(compiledOf)
  const [only] = filters
  if (only !== undefined && filters.length === 1) return only
  return {
    text: filters.map(({ text }) => text).join('\u0000'),
    matches: subject => filters.some(filter => filter.matches(subject)),
    get lastCost() {
      return filters.reduce((sum, filter) => sum + (filter.lastCost ?? 0), 0)
    },
  }
}

function compiledOf(text: string): ContentFilter {
  const known = compiled.get(text)
  if (known !== undefined) return known
  const filter = compile(text, 'subscription', true)
  // It was checked when the grant was made; if it cannot be read any more it allows nothing.
  const content = isRefusal(filter) ? { text, matches: () => false } : filter
  if (compiled.size >= COMPILED_MAX) compiled.clear()
  compiled.set(text, content)
  return content
}
