import { withDefaults } from '../../../src/core/declaring.ts'
import type { Command, RawPiece, Setting } from './commands.ts'
import type { Drive } from './drive.ts'
import type { Subscription } from './state.ts'
import { BODY_BYTES, defined, must, type Part, type Piece, type Range, type Step, sizeOf } from './words.ts'

const QUEUES = ['orders', 'other', 'orders.dead', 'morgue']
/** Lease of a pull that asks for none, in ms. */
const PULL_LEASE_MS = 5_000

/** Plays commands on a drive; producers behave as the protocol wants it, everybody else as they like. */
export class Play {
  readonly drive: Drive
  readonly #setting: Setting
  /** How far each producer has its answers. */
  readonly #answered = new Map<string, number>()
  #lastAtomic: Extract<Step, { kind: 'atomic' }> | undefined

  constructor(drive: Drive, setting: Setting) {
    this.drive = drive
    this.#setting = setting
    this.#declare('other')
    this.#declare('orders')
  }

  #declare(queue: string): void {
    const { orders, other } = this.#setting
    this.drive.do({
      kind: 'declare',
      queue,
      options: queue === 'orders' ? orders : queue === 'other' ? other : withDefaults({}),
    })
  }

  play(command: Command): void {
    const { drive } = this
    switch (command.kind) {
      case 'tick':
      case 'wait':
        drive.now += command.ms
        if (command.kind === 'tick') drive.do({ kind: 'tick' })
        return
      case 'hold':
        drive.holdDisk()
        return
      case 'commit':
        drive.commit(this.#upTo(command.part))
        return
      case 'crash':
        drive.crash(this.#upTo(command.part))
        return
      case 'stop':
        drive.stopCleanly()
        return
      case 'declare': {
        const name = QUEUES[command.queue] ?? 'orders'
        if (!drive.model.queues.has(name)) this.#declare(name)
        return
      }
      default: {
        const step = this.#step(command)
        if (step !== undefined) drive.do(step)
      }
    }
  }

  /** INV-23: whatever was, consumers that ack everything empty every queue and open every barrier, also after a crash. */
  finish(): void {
    const { drive } = this
    drive.crash(drive.turn)
    const consumers = new Map<string, number>()
    const isDone = () =>
      [...drive.model.queues.values()].every(({ live, waiting }) => live.length + waiting.length === 0)
    for (let rounds = 0; !isDone(); rounds += 1) {
      must(rounds < 10_000, 'INV-23 barrier-live', () => 'it does not come to its end')
      // Also of those that come into being meanwhile.
      for (const queue of [...drive.model.queues.keys()].filter(name => !consumers.has(name))) {
        const subscription = drive.nextSubscription
        drive.nextSubscription += 1
        consumers.set(queue, subscription)
        drive.do({ kind: 'pause', queue, isPaused: false })
        drive.do({ kind: 'subscribe', queue, subscription, prefetch: 64, concurrency: 1, isPull: false })
      }
      const held = [...consumers].filter(([queue, subscription]) => this.#ackAll(queue, subscription))
      if (held.length > 0 || isDone()) continue
      must(drive.broker.nextDeadline < Number.POSITIVE_INFINITY, 'INV-14 no-idle', () => 'it waits for nothing')
      drive.now = Math.max(drive.now, drive.broker.nextDeadline)
      drive.do({ kind: 'tick' })
    }
  }

  /** False when it holds nothing. */
  #ackAll(queue: string, subscription: number): boolean {
    const { drive } = this
    const ranges = this.#out(subscription).map(({ delivery }) => ({ first: delivery, count: 1 }))
    if (ranges.length === 0) return false
    drive.do({ kind: 'settle', queue, claims: [{ subscription, ranges }], how: { kind: 'ack' }, carried: [] })
    return true
  }

  /** Of the turns that are not on disk, some: 0 none, 4 all. */
  #upTo(part: number): number {
    const { committed, turn } = this.drive
    return committed + Math.round(((turn - committed) * part) / 4)
  }

  #step(
    command: Exclude<Command, { kind: 'tick' | 'wait' | 'hold' | 'stop' | 'commit' | 'crash' | 'declare' }>,
  ): Step | undefined {
    const { model } = this.drive
    switch (command.kind) {
      case 'requeue':
      case 'pause':
      case 'update':
      case 'cancel':
      case 'extend':
      case 'purge':
        return this.#operate(command)
      case 'delete':
      case 'publish':
      case 'numbered':
      case 'subscribe': {
        const queue = this.#queue(command.queue)
        if (queue === undefined) return undefined
        if (command.kind === 'delete') return { kind: 'delete', queue }
        if (command.kind === 'publish')
          return { kind: 'publish', queue, pieces: this.#pieces(queue, command.pieces), isAccepted: command.accepted }
        if (command.kind === 'numbered') return this.#numbered(queue, command)
        const { filter, concurrency, leaseMs, away, pull: isPull } = command
        const { options, released } = model.queue(queue)
        const subscription = this.drive.nextSubscription
        this.drive.nextSubscription += 1
        const afterBatch = Math.max(0, released + 1 - (away ?? 0))
        const prefetch = Math.min(command.prefetch, options.prefetchMax)
        // Of a pull every lease has an end, and no attempt counts that time did not count.
        const terms = isPull
          ? { prefetch: Math.max(1, prefetch), concurrency: 0, leaseMs: leaseMs ?? PULL_LEASE_MS, filter, isPull }
          : { prefetch, concurrency, leaseMs, filter, isPull }
        const wish = { kind: 'subscribe' as const, queue, subscription, ...defined(terms) }
        return away === undefined ? wish : { ...wish, afterBatch }
      }
      case 'leave':
      case 'change': {
        const subscription = this.#subscription(command.subscription, ({ isClosed }) => !isClosed)
        if (subscription === undefined) return undefined
        const { queue, isPull } = model.subscription(subscription)
        // Whoever hangs up has got nothing of it.
        if (isPull)
          return command.kind === 'leave' ? { kind: 'answer', subscription, sent: 0, isSettled: false } : undefined
        if (command.kind === 'leave') return { kind: 'unsubscribe', subscription, isGone: command.gone }
        const { prefetch = 65_535, filter, stalled: isStalled } = command
        const lowered = Math.min(prefetch, model.queue(queue).options.prefetchMax)
        const given = command.prefetch === undefined ? undefined : lowered
        return defined({ kind: 'change' as const, subscription, prefetch: given, filter, isStalled })
      }
      case 'answer': {
        const subscription = this.#subscription(command.subscription, ({ isPull, isClosed }) => isPull && !isClosed)
        if (subscription === undefined) return undefined
        const unsent = this.#out(subscription).find(({ rests }) => rests > this.drive.committed)
        const sent = (unsent?.delivery ?? model.subscription(subscription).next) - 1
        return { kind: 'answer', subscription, sent, isSettled: command.settled }
      }
      case 'atomic':
        return this.#atomic(command)
      case 'settle':
        return this.#settle(command)
    }
  }

  /** What operators do. */
  #operate(
    command: Extract<Command, { kind: 'requeue' | 'pause' | 'update' | 'cancel' | 'extend' | 'purge' }>,
  ): Step | undefined {
    const name = this.#queue(command.queue)
    if (name === undefined) return undefined
    const queue = this.drive.model.queue(name)
    const barrier = (at: number) => {
      const { sequence, name: called } = [...queue.waiting, ...queue.records.slice(-1)].at(at % 4) ?? {}
      const gathering = queue.gathering[0]?.name
      if (gathering !== undefined && at < 3) return gathering
      return called === undefined || at % 2 === 0 ? `@${sequence ?? 0}` : called
    }
    switch (command.kind) {
      case 'requeue': {
        const { live } = queue
        const first = live[command.at % Math.max(1, live.length)]?.sequence ?? 0
        return { kind: 'requeue', queue: name, sequences: Array.from({ length: command.count }, (_, k) => first + k) }
      }
      case 'pause':
        return { kind: 'pause', queue: name, isPaused: command.paused }
      case 'update': {
        // Elsewhere the options could go round in a circle.
        if (name !== 'orders' && name !== 'other') return undefined
        // Not what never changes, and nothing that goes round in a circle.
        const { semantics, forwardBarrier } = queue.options
        const { leaseMs, deliveriesMax, retryDelay } = semantics === 'at-most-once' ? withDefaults({}) : command.options
        const given = { ...command.options, semantics, forwardBarrier, leaseMs, deliveriesMax, retryDelay }
        const options = withDefaults(defined(given))
        return { kind: 'update', queue: name, options }
      }
      case 'cancel':
        return defined({ kind: 'cancel' as const, queue: name, barrier: barrier(command.barrier), rest: command.rest })
      case 'extend': {
        const deadlineAt = this.drive.now + command.ms
        return { kind: 'extend', queue: name, barrier: barrier(command.barrier), deadlineAt }
      }
      case 'purge':
        return { kind: 'purge', queue: name, leased: command.leased, below: queue.next - command.before }
    }
  }

  /** As the engine hands them on: with ids where the queue has a window for them, and without what has no room. */
  #pieces(queue: string, raw: readonly RawPiece[], limits: 'each' | 'together' | 'none' = 'each'): Piece[] {
    const { model, now } = this.drive
    const { options, seen } = model.queue(queue)
    let { messages, bytes, isShared } = model.room(model.queue(queue))
    return raw.flatMap((one): Piece[] => {
      const piece = pieceOf(one, queue, options.dedupeWindowMs > 0)
      if (piece.kind !== 'messages' || limits === 'none') return [piece]
      if (seen.some(({ id, at }) => id === piece.id && at + options.dedupeWindowMs > now)) return [piece]
      const cut = piece.runs.flatMap((run): Piece[] => {
        const room = Math.max(0, Math.min(messages, Math.floor(bytes / BODY_BYTES)))
        // What comes in ready makes room for what comes behind it, unless all of it is kept together.
        const isMaking = isShared && limits === 'each' && (run.delayMs ?? 0) === 0
        const count = isMaking && room > 0 ? run.count : Math.min(run.count, room)
        if (!isMaking) {
          messages -= count
          bytes -= count * BODY_BYTES
        }
        const full = { kind: 'refused' as const, count: run.count - count, code: 'queue-full' as const }
        const fitting = { ...piece, runs: [{ ...run, count }] }
        return [...(count > 0 ? [fitting] : []), ...(full.count > 0 ? [full] : [])]
      })
      return cut.some(({ kind }) => kind === 'refused') ? cut : [piece]
    })
  }

  #queue(at: number): string | undefined {
    const { queues } = this.drive.model
    const name = QUEUES[at] ?? ''
    return queues.has(name) ? name : queues.keys().next().value
  }

  #subscription(at: number, isMeant: (subscription: Subscription) => boolean = () => true): number | undefined {
    const meant = [...this.drive.model.subscriptions.values()].filter(isMeant)
    return meant[at % meant.length]?.id
  }

  #settle({ claims: raw, how, carried }: Extract<Command, { kind: 'settle' }>): Step | undefined {
    const { model } = this.drive
    const first = this.#subscription(raw[0]?.subscription ?? 0)
    if (first === undefined) return undefined
    const { queue } = model.subscription(first)
    const claims = raw.flatMap(({ subscription: at, pick, at: which, count }) => {
      const others = model.all(model.queue(queue)).map(({ id }) => id)
      const id = others.includes(this.#subscription(at) ?? -1) ? this.#subscription(at) : others[at % others.length]
      if (id === undefined) return []
      return [{ subscription: id, ranges: [this.#range(id, pick, which, count)] }]
    })
    const targets = carried.flatMap(({ queue: at, pieces: rawPieces }) => {
      const name = this.#queue(at)
      return name === undefined ? [] : [{ queue: name, pieces: this.#pieces(name, rawPieces, 'none') }]
    })
    return { kind: 'settle', queue, claims, how, carried: targets }
  }

  /** Deliveries that a subscription has not settled. */
  #out(id: number): { readonly delivery: number; readonly rests: number }[] {
    const { model } = this.drive
    const subscription = model.subscription(id)
    const held = model.held(subscription).flatMap(({ lease }) => (lease === undefined ? [] : [lease]))
    return [...held, ...subscription.spent].sort((a, b) => a.delivery - b.delivery)
  }

  /** A client settles what it was sent, or any nonsense. */
  #range(id: number, pick: 'held' | 'any', at: number, count: number): Range {
    const { model, committed } = this.drive
    const subscription = model.subscription(id)
    const out = this.#out(id)
    const sent = out.filter(({ rests }) => rests <= committed)
    if (pick === 'any' || sent.length === 0) {
      const first = at % (subscription.next + 2)
      // It cannot know the numbers of what it was not sent yet.
      const unsent = out.find(({ rests }) => rests > committed)
      const end = first === 0 ? count + 1 : first + count
      if (unsent === undefined || end <= unsent.delivery) return { first, count }
      return { first: subscription.next, count: 1 }
    }
    return {
      first: sent[at % sent.length]?.delivery ?? 0,
      count: sent.length === out.length ? count : 1,
    }
  }

  #numbered(queue: string, command: Extract<Command, { kind: 'numbered' }>): Step {
    const { model, isDiskHeld } = this.drive
    const producer = `p${command.producer}`
    const key = `${queue} ${model.queue(queue).id} ${producer}`
    const known = model.queue(queue).producers.get(producer)
    const last = known?.last ?? 0
    const answered = Math.min(last, this.#answered.get(key) ?? 0)
    const pieces = this.#pieces(queue, command.pieces)
    const again = Math.min(command.again, last - answered)
    // Sent again is what was sent: some messages, in one piece; the core looks at their number alone.
    const before: Piece[] = again > 0 ? [{ kind: 'messages', runs: [{ count: again }] }] : []
    // A client tells what it has; it has what is on disk.
    const answeredUpTo = isDiskHeld || command.again > 0 ? answered : Math.max(answered, last - 4)
    this.#answered.set(key, known === undefined ? last - again : answeredUpTo)
    const all = command.again === 100 && before.length > 0 ? before : [...before, ...pieces]
    return { kind: 'numbered', queue, pieces: all, numbers: { producer, number: last + 1 - again, answeredUpTo } }
  }

  /** To several queues, each once. What was sent last is sent again as it was, if no other number came between. */
  #atomic({ parts: raw, producer, again, missing }: Extract<Command, { kind: 'atomic' }>): Step | undefined {
    const { model } = this.drive
    const lastOf = (queue: string) => model.queue(queue).producers.get('atomic')?.last ?? 0
    const all = this.#lastAtomic?.parts ?? []
    // Of a queue that was deleted meanwhile the part cannot come, and the whole is refused for it.
    const before = all.filter(({ queue }) => model.queues.has(queue))
    const isForgotten = ({ queue }: Part) => !model.queue(queue).producers.has('atomic')
    const isLast = ({ queue, pieces, numbers }: Part) =>
      lastOf(queue) === (numbers?.number ?? 0) + pieces.reduce((sum, piece) => sum + sizeOf(piece), 0) - 1
    const isNew = ({ queue, numbers }: Part) => lastOf(queue) === (numbers?.number ?? 0) - 1
    const isHonest = [isLast, isNew].some(is => before.every(part => is(part) || isForgotten(part)))
    if (again && before.length > 0 && isHonest)
      return { kind: 'atomic', parts: before, isMissing: missing || before.length < all.length }
    const parts = new Map<string, Part>()
    for (const { queue: at, pieces } of raw) {
      const queue = this.#queue(at)
      if (queue === undefined) return undefined
      const numbers = { producer: 'atomic', number: lastOf(queue) + 1, answeredUpTo: Math.max(0, lastOf(queue) - 4) }
      const part = { queue, pieces: this.#pieces(queue, pieces, 'together') }
      parts.set(queue, producer === undefined ? part : { ...part, numbers })
    }
    // Without numbers it does not come so far: it is refused before.
    const isMissing = missing && producer !== undefined
    const step = { kind: 'atomic' as const, parts: [...parts.values()], isMissing }
    if (producer !== undefined) this.#lastAtomic = step
    return step
  }
}

function pieceOf(raw: RawPiece, queue: string, hasWindow: boolean): Piece {
  if (raw.kind === 'refused') return { ...raw, code: 'not-accepted' }
  const id = hasWindow && raw.id !== undefined ? `m${raw.id}` : undefined
  if (raw.kind === 'barrier') {
    const name = raw.name === undefined ? undefined : `b${raw.name}`
    // A party is of a barrier with a name.
    const party = name !== undefined && raw.party !== undefined ? `p${raw.party}` : undefined
    const forward = raw.forward?.filter(target => target !== queue)
    const parties = party === undefined && forward === undefined ? undefined : raw.parties
    return defined({ ...raw, name, id, party, parties, forward })
  }
  if (id === undefined) return { kind: 'messages', runs: raw.runs.map(defined) }
  return { kind: 'messages', runs: raw.runs.slice(0, 1).map(run => defined({ ...run, count: 1 })), id }
}
