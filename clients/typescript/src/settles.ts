import type { Frames, Range, SettleHow } from '@sluice/protocol'
import type { AckResult } from './delivery.ts'
import { refusedError, type SluiceError } from './errors.ts'
import type { Link } from './link.ts'
import { deferred } from './timers.ts'

interface Group {
  readonly how: SettleHow
  readonly valueMs: number
  readonly reason: string
  readonly ranges: RangeList
}

interface DurableAck {
  resolve(result: AckResult): void
  reject(error: SluiceError): void
}

/** What a subscription settles during one tick, as few frames of few ranges. */
export class Settles {
  readonly #link: Link
  readonly #subscription: number
  #acks = new RangeList()
  #others: Group[] = []
  #durable: Map<number, DurableAck> | undefined

  constructor(link: Link, subscription: number) {
    this.#link = link
    this.#subscription = subscription
  }

  ack(delivery: number): undefined {
    this.#acks.add(delivery, 1)
  }

  add(how: SettleHow, first: number, count: number, valueMs = 0, reason = ''): void {
    let group = this.#others.at(-1)
    if (group?.how !== how || group.valueMs !== valueMs || group.reason !== reason) {
      group = { how, valueMs, reason, ranges: new RangeList() }
      this.#others.push(group)
    }
    group.ranges.add(first, count)
  }

  ackDurably(delivery: number): Promise<AckResult> {
    const { promise, resolve, reject } = deferred<AckResult>()
    this.#durable ??= new Map()
    this.#durable.set(delivery, { resolve, reject })
    return promise
  }

  /** Everything up to that delivery which is still held, behind what was settled otherwise before; durably at once. */
  ackUpTo(delivery: number, isDurable: boolean): Promise<AckResult> | undefined {
    if (!isDurable) {
      this.add('ack', 0, delivery)
      return undefined
    }
    this.flush()
    const { promise, resolve, reject } = deferred<AckResult>()
    const request = this.#link.awaitSettled({
      answered: answer => {
        tell(new Map([[delivery, { resolve, reject }]]), answer)
        // Not among those that were still held.
        resolve('lease-lost')
      },
      lost: reject,
    })
    this.#write(request, 'ack', [{ first: 0, count: delivery }])
    return promise
  }

  /** Writes what has gathered. */
  flush(): void {
    if (this.#acks.size > 0) this.#write(0, 'ack', this.#acks.take())
    if (this.#durable !== undefined) this.#flushDurable(this.#durable)
    for (const { how, ranges, valueMs, reason } of this.#others) this.#write(0, how, ranges.take(), valueMs, reason)
    this.#others = []
  }

  /** The connection these deliveries came over is gone, and with it every lease. */
  drop(): void {
    this.#acks.take()
    this.#others = []
    for (const { resolve } of this.#durable?.values() ?? []) resolve('lease-lost')
    this.#durable = undefined
  }

  #flushDurable(waiting: Map<number, DurableAck>): void {
    this.#durable = undefined
    const ranges = new RangeList()
    for (const delivery of waiting.keys()) ranges.add(delivery, 1)
    const request = this.#link.awaitSettled({
      answered: answer => tell(waiting, answer),
      lost: error => {
        for (const { reject } of waiting.values()) reject(error)
      },
    })
    this.#write(request, 'ack', ranges.take())
  }

  #write(request: number, how: SettleHow, deliveries: readonly Range[], valueMs = 0, reason = ''): void {
    const subscription = this.#subscription
    this.#link.write('settle', { request, subscription, how, valueMs, reason, deliveries, publish: [] })
  }
}

function tell(waiting: ReadonlyMap<number, DurableAck>, { results, refusal }: Frames['settled']): void {
  if (refusal !== null) {
    const error = refusedError(refusal)
    for (const { reject } of waiting.values()) reject(error)
    return
  }
  for (const { first, count, result } of results) {
    for (const [delivery, { resolve }] of waiting)
      if (delivery >= first && delivery < first + count) resolve(ackResult(result))
  }
}

/** A delivery that the server knows nothing of is not this connection's any more. */
export function ackResult(result: string): AckResult {
  return result === 'acked' || result === 'already-settled' ? result : 'lease-lost'
}

/** Numbers as ranges. Most come in order and cost an addition; the others are sorted once, when they are taken. */
class RangeList {
  #ranges: { first: number; count: number }[] = []

  get size(): number {
    return this.#ranges.length
  }

  add(first: number, count: number): void {
    const last = this.#ranges.at(-1)
    if (last !== undefined && last.first + last.count === first) last.count += count
    else this.#ranges.push({ first, count })
  }

  /** Sorted; what touches or overlaps is one range. The list is empty then. */
  take(): readonly Range[] {
    const ranges = this.#ranges
    this.#ranges = []
    if (ranges.length < 2) return ranges
    ranges.sort((a, b) => a.first - b.first)
    const merged = [ranges[0]!]
    for (const range of ranges) {
      const last = merged.at(-1)!
      if (range.first > last.first + last.count) merged.push(range)
      else last.count = Math.max(last.count, range.first + range.count - last.first)
    }
    return merged
  }
}
