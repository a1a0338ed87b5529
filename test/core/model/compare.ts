import type { Broker } from '../../../src/core/broker.ts'
import type { Queue as RealQueue } from '../../../src/core/queue.ts'
import { holdouts, progressOf, viewQueue } from '../../../src/core/snapshot.ts'
import type { Model } from './model.ts'
import { type Message, open, type Queue } from './state.ts'
import { BODY_BYTES, broken, colorOf, must, takes } from './words.ts'

/** Everything of the core that can be seen, against the model, and the invariants that hold after every command. */
export function compare(broker: Broker, model: Model, now: number, steps: number): void {
  let queues = 0
  for (const real of broker.queues()) {
    queues += 1
    const queue = model.queues.get(real.name) ?? broken('A7', `queue ${real.name} is there`)
    compareQueue(real, queue, model, now)
    if (steps % 4 === 0) compareHoldouts(real, queue, model, now)
    noIdle(queue, model)
  }
  must(queues === model.queues.size, 'INV-31 recovery-exact', () => `${queues} queues, should be ${model.queues.size}`)
  const right = Math.min(...[...model.queues.values()].map(queue => model.deadlineOf(queue)))
  must(broker.nextDeadline === right, 'deadline', () => `next at ${broker.nextDeadline}, should be ${right}`)
}

function compareQueue(real: RealQueue, queue: Queue, model: Model, now: number): void {
  const { name } = queue
  const equal = (rule: string, what: string, got: unknown, right: unknown) =>
    must(got === right, rule, () => `${name}: ${what} is ${got}, should be ${right}`)
  equal('P3', 'next sequence number', real.nextSequence, queue.next)
  equal('P5', 'ids', real.dedupe.size, queue.seen.length)
  equal('D14', 'paused', real.isPaused, queue.isPaused)
  equal('B2', 'batch in turn', real.head.number, queue.released)
  equal('B2', 'open batch', real.open.number, open(queue))
  equal('B2', 'waiting barriers', real.barriers.waitingCount, queue.waiting.length + queue.gathering.length)
  for (const { name: gathered, count, arrivals } of real.barriers.gathering()) {
    const right = queue.gathering.find(other => other.name === gathered)
    equal('B14', gathered, partiesAsText(count, arrivals), right && partiesAsText(right.count, right.arrivals))
  }
  let at = 0
  for (const barrier of real.barriers.waiting()) {
    equal(
      'B1',
      'waiting barrier',
      `${barrier.sequence} ${barrier.name} ${barrier.ended?.outcome} ${barrier.ended?.rest}`,
      `${queue.waiting[at]?.sequence} ${queue.waiting[at]?.name} ${queue.waiting[at]?.ended?.outcome} ${queue.waiting[at]?.ended?.rest}`,
    )
    at += 1
  }
  compareRecords(real, queue)
  const live = queue.stats.map(() => ({ ready: 0, leased: 0, delayed: 0 }))
  for (const { batch, state } of queue.live) {
    const counts =
      live[batch - queue.released] ?? broken('INV-16 barrier-held', `${name}: batch ${batch} is not released`)
    counts[state] += 1
  }
  queue.stats.forEach((stats, k) => {
    const batch = real.batches[k] ?? broken('B3', `${name}: batch ${queue.released + k} is there`)
    const progress = progressOf(batch, now)
    const counts = live[k] as (typeof live)[number]
    const dead = stats.dead + stats.expired + stats.dropped
    const got = `${progress.published} = ${progress.acked} + ${progress.leased} + ${progress.ready} + ${progress.delayed} + ${progress.dead}`
    equal(
      'B17, INV-1 one-state',
      `batch ${batch.number}`,
      got,
      `${stats.published} = ${stats.acked} + ${counts.leased} + ${counts.ready} + ${counts.delayed} + ${dead}`,
    )
    equal('B3, B12', `statistics of ${batch.number}`, statsAsText(batch.stats), statsAsText(stats))
    const sum = progress.acked + progress.leased + progress.ready + progress.delayed + progress.dead
    equal('B17', `sum of batch ${batch.number}`, sum, progress.published)
  })
  const view = viewQueue(real, now)
  equal(
    'INV-1 one-state',
    'leased',
    view.leased,
    live.reduce((sum, { leased }) => sum + leased, 0),
  )
  equal('R4', 'bytes', real.bytes, queue.live.length * BODY_BYTES)
  equal('A7', 'room', JSON.stringify(real.room), JSON.stringify(model.room(queue)))
  const subscriptions = model.of(queue)
  equal('INV-12', 'subscriptions', view.subscriptions, subscriptions.length)
  for (const subscription of real.consumers.all) {
    const known =
      subscriptions.find(({ id }) => id === subscription.tag) ??
      broken('INV-12', `subscription ${subscription.tag} is there`)
    const held = model.used(known)
    equal('D8, INV-13 credit', `used credit of ${known.id}`, subscription.used, held)
    equal('A3', `next delivery of ${known.id}`, subscription.next, known.next)
  }
  for (const [producer, { last }] of queue.producers)
    equal('P9', `last number of ${producer}`, real.producers.last(producer), last)
  equal('P9', 'producers', real.producers.size, queue.producers.size)
  let expiring = 0
  for (const run of real.expiring) expiring += run.count
  equal('D16', 'ready messages that expire', expiring, queue.live.filter(isExpiring).length)
}

function isExpiring({ state, expiresAt }: Message): boolean {
  return state === 'ready' && expiresAt !== Number.POSITIVE_INFINITY
}

function compareRecords(real: RealQueue, queue: Queue): void {
  let at = 0
  for (const { record, turn } of real.barriers.records()) {
    const right = queue.records[at] ?? broken('B10', `${queue.name}: ${record.sequence} has a record`)
    at += 1
    if (record.sequence === right.sequence && record.stats === checked.get(right)) continue
    const got = `${record.sequence} ${record.name} ${record.batch} ${record.outcome} ${record.publishedAt} ${record.releasedAt} ${turn} ${batchesAsText(record.batches)} ${record.parties?.count} ${record.parties?.arrived} ${statsAsText(record.stats)}`
    const should = `${right.sequence} ${right.name} ${right.batch} ${right.outcome} ${right.publishedAt} ${right.releasedAt} ${right.releasedIn} ${batchesAsText(right.terms.batches)} ${right.parties?.count} ${right.parties?.arrived.map(({ party }) => party)} ${statsAsText(right.stats)}`
    must(got === should, 'B10, B12', () => `${queue.name}: record ${got}, should be ${should}`)
    checked.set(right, record.stats)
    if (right.name !== undefined)
      must(real.barriers.find(right.name) === record, 'B10', () => `${right.name} is found by name`)
    must(real.barriers.find(`@${right.sequence}`) === record, 'B10', () => `@${right.sequence} is found`)
  }
  must(at === queue.records.length, 'B10', () => `${queue.name}: ${at} records, should be ${queue.records.length}`)
}

/** Records that were compared; they do not change. */
const checked = new WeakMap<object, object>()

function batchesAsText(batches: readonly { readonly queue: string; readonly outcome: string }[] = []): string {
  return batches.map(({ queue, outcome }) => `${queue} ${outcome}`).join()
}

function partiesAsText(
  count: number,
  arrivals: readonly { readonly party: string; readonly sequence: number }[],
): string {
  return `${count}: ${arrivals.map(({ party, sequence }) => `${party} ${sequence}`)}`
}

function statsAsText(stats: Queue['stats'][number] | RealQueue['head']['stats']): string {
  const { published, acked, dead, expired, dropped, carried, firstPublishedAt, lastSettledAt } = stats
  // Of a batch that took in the rest of another one, whose time is told is free.
  const first = carried > 0 ? 'any' : firstPublishedAt
  return `${published} ${acked} ${dead} ${expired} ${dropped} ${carried} ${first} ${lastSettledAt}`
}

/** INV-14: nobody with room is left without a message that it may have. */
function noIdle(queue: Queue, model: Model): void {
  if (!model.mayLease(queue)) return
  for (const subscription of model.of(queue)) {
    if (!model.hasRoom(queue, subscription)) continue
    const first = model.firstFor(queue, subscription)
    must(
      first === undefined,
      'D1, INV-14 no-idle',
      () => `${queue.name}: ${subscription.id} could have ${first?.sequence}`,
    )
  }
}

/** B17: what holds a barrier, message by message. */
function compareHoldouts(real: RealQueue, queue: Queue, model: Model, now: number): void {
  for (const barrier of real.barriers.waiting()) {
    const got = holdouts(real, barrier, { after: 0, limit: 10_000 }, now).map(
      ({ sequence, state, reason, attempt, holder, leaseAgeMs }) =>
        `${sequence} ${state} ${reason} ${attempt} ${holder} ${leaseAgeMs}`,
    )
    const isHolding = queue.options.onDead === 'hold' && barrier.ended === undefined
    const dead = (isHolding ? model.deadLettersOf(queue, barrier.batch) : []).map(({ origin }) => ({
      sequence: origin?.sequence ?? 0,
      lines: [`${origin?.sequence} dead dead-letter ${origin?.attempts} undefined undefined`],
    }))
    const spent = model.all(queue).flatMap(({ id, spent: out }) =>
      out
        .filter(({ batch }) => batch === barrier.batch)
        .map(({ sequence, attempts, at }) => ({
          sequence,
          lines: [`${sequence} leased leased ${attempts + 1} ${id} ${now - at}`],
        })),
    )
    const right = queue.live
      .filter(({ batch }) => batch === barrier.batch)
      .map(message => ({ sequence: message.sequence, lines: holdoutOf(message, queue, model, now) }))
      .concat(dead, spent)
      .sort((a, b) => a.sequence - b.sequence)
      .map(({ lines }) => lines)
    right.forEach((lines, k) => {
      must(lines.includes(got[k] ?? ''), 'B17 holdouts', () => `${queue.name}: ${got[k]}, should be ${lines[0]}`)
    })
    must(got.length === right.length, 'B17 holdouts', () => `${queue.name}: ${got.length}, should be ${right.length}`)
  }
}

/** What may be told of it. */
function holdoutOf(message: Message, queue: Queue, model: Model, now: number): string[] {
  const { sequence, state, attempts, isSuspect, lease } = message
  if (lease !== undefined) return [`${sequence} leased leased ${attempts + 1} ${lease.holder} ${now - lease.at}`]
  const line = (reason: string) => `${sequence} ${state} ${reason} ${attempts + 1} undefined undefined`
  if (state === 'delayed')
    return attempts > 0 ? [line('retrying')] : !isSuspect ? [line('delayed')] : [line('delayed'), line('retrying')]
  if (queue.isPaused) return [line('paused')]
  if (!model.isFirst(queue, message)) return [line('ready')]
  const matching = model.of(queue).filter(({ filter, prefetch }) => prefetch > 0 && takes(filter, colorOf(sequence)))
  if (matching.length === 0) return [line('no-subscription-matches')]
  // Whether the bytes of the next one fit is known once it was tried.
  const hasCredit = matching.some(other => !other.isStalled && model.used(other) < other.prefetch)
  if (!hasCredit) return [line('no-credit')]
  return matching.some(other => model.hasRoom(queue, other)) ? [line('ready')] : [line('ready'), line('no-credit')]
}
