import type { HistoryChecker, Suspicion } from './checker.ts'
import { type Barrier, isAfter, isBefore, type Message, publishesOf, type QueueState } from './state.ts'

/** What can be said only when the history is over. */
export function judge(checker: HistoryChecker): void {
  for (const suspicion of checker.suspicions) judgeSuspicion(checker, suspicion)
  for (const { queue, message, from, overtaker, to, t } of checker.overtakings) {
    const between = [...queue.barriers.values()].find(({ batch }) => batch !== undefined && batch >= from && batch < to)
    if (between === undefined) continue
    judgeSuspicion(checker, { kind: 'barrier-overtaken', message, barrier: between, t, overtaker })
  }
  for (const queue of checker.queues.values()) {
    const left = new DropsLeft(checker, queue)
    for (const message of queue.messages.values()) judgeMessage(checker, message, left)
    for (const barrier of queue.barriers.values()) judgeBarrier(checker, queue, barrier)
  }
  if (checker.options.atomicBatches) judgeAtomic(checker)
}

/** How many messages of a queue may be gone without a word: as many as the server says it has dropped. */
class DropsLeft {
  #count = 0

  constructor({ options }: HistoryChecker, { name, barriers }: QueueState) {
    for (const id of barriers.keys()) this.#count += options.dropped?.get(`${name} ${id}`) ?? 0
  }

  take(): boolean {
    this.#count -= 1
    return this.#count >= 0
  }
}

function exists(message: Message): boolean {
  return message.confirmedAt !== undefined || message.deliveries > 0 || message.movedAt !== undefined
}

function judgeSuspicion(checker: HistoryChecker, { kind, message, barrier, t, overtaker }: Suspicion): void {
  const isFifo = checker.options.fifoPublishers ?? false
  if (checker.isEndedEarly(barrier) || !exists(message) || !isBefore(message, barrier, isFifo)) return
  // Its place, or the barrier's, may have been told only later.
  if (overtaker !== undefined && !isAfter(overtaker, barrier, isFifo)) return
  // Ended without a word, before the barrier: a dead letter, or purged, and it never came here again.
  const isGone = message.movedAt !== undefined || message.isPerhapsGone || checker.mayBeDropped(message)
  if (isGone && (message.lastDeliveredAt < t || wasSentBefore(message, barrier))) return
  // Accepted, and lost by a crash, perhaps after somebody had got it (D12): it was not there any more.
  if (message.isAccepted && checker.lastKillAt >= Math.max(message.invokedAt ?? 0, message.lastDeliveredAt)) return
  const what = overtaker === undefined ? `barrier ${barrier.id} was delivered` : `${overtaker.id} was delivered`
  checker.violation(kind, message, t, `${what} while ${message.id}, before barrier ${barrier.id}, was not acked`)
}

/**
 * Read after somebody had the barrier, over a slower way: on this connection the barrier came behind it, and a connection
 * keeps the order of sending (B7). The barrier is sent to all at its release (B5), so the message was sent before that, and
 * says nothing of how long it was live. A subscription that gets only some barriers may not have been sent this one, and
 * of one that was cut before it came to the barrier nobody knows.
 */
function wasSentBefore({ lastSession, lastDeliveredAt }: Message, barrier: Barrier): boolean {
  const toldAt = lastSession?.toldAt.get(barrier)
  if (toldAt === undefined) return lastSession !== undefined && (lastSession.isFiltered || !lastSession.isOpen)
  return toldAt >= lastDeliveredAt
}

function judgeMessage(checker: HistoryChecker, message: Message, drops: DropsLeft): void {
  const { counts, options } = checker
  if (message.deliveries > 0 && publishesOf(message) > 0) counts.ok += 1
  const isHeld = message.holder?.isOpen === true
  if (isHeld && message.ackedAt === undefined && message.acking.size === 0) counts.outstanding += 1
  const isOver =
    message.ackedAt !== undefined ||
    message.ended !== undefined ||
    message.movedAt !== undefined ||
    message.isPerhapsGone ||
    message.acking.size > 0 ||
    checker.lastAt >= message.endsAt
  if (message.confirmedAt === undefined || isOver || isHeld || isOverElsewhere(checker, message)) return
  if (message.isAccepted && checker.lastKillAt >= (message.invokedAt ?? 0)) return
  if (options.atMostOnce?.has(message.queue)) {
    // Sent and not read is what such a queue allows, where something was cut.
    const wasCut = checker.lastKillAt >= (message.invokedAt ?? 0)
    if (message.deliveries > 0 || wasCut || hasReturns(checker, message)) return
  }
  if (checker.mayBeDropped(message) && drops.take()) return
  counts.lost += 1
  const what = message.deliveries === 0 ? 'it was never delivered' : `its last holder vanished`
  checker.violation('lost', message, checker.lastAt, `confirmed at ${message.confirmedAt}; ${what}`)
}

/**
 * It went round in a circle of queues, and what was read of it last was sent first. Or a purge took it where it went: a
 * dead letter is requeued without an event, and nobody need have got it there. Only a purge after it was last seen here.
 */
function isOverElsewhere(checker: HistoryChecker, { queue, id, lastDeliveredAt }: Message): boolean {
  return (checker.options.routes ?? []).some(({ from, to }) => {
    const target = from === queue ? checker.queues.get(to) : undefined
    const there = target?.messages.get(id)
    if (target === undefined || there === undefined) return false
    const isPurged = lastDeliveredAt > Number.NEGATIVE_INFINITY && target.lastDiscardAt >= lastDeliveredAt
    // Its batch there may have been dropped, where it was never seen again.
    const isDropped = [...target.barriers.keys()].some(barrier => checker.options.dropped?.has(`${to} ${barrier}`))
    return isPurged || isDropped || there.ackedAt !== undefined || there.acking.size > 0 || there.ended !== undefined
  })
}

function hasReturns(checker: HistoryChecker, message: Message): boolean {
  return (checker.queues.get(message.queue)?.lastReturnAt ?? 0) >= (message.invokedAt ?? 0)
}

function judgeBarrier(checker: HistoryChecker, queue: QueueState, barrier: Barrier): void {
  if (barrier.confirmedAt === undefined && barrier.deliveredAt === undefined) return
  const releasedAfter = earliestRelease(queue, barrier)
  const owed = queue.allSessions.filter(
    session => session.isOpen && !session.isFiltered && session.startedAt < releasedAfter,
  )
  if (barrier.deliveredAt === undefined) {
    if (owed.length === 0 || !isDue(checker, queue, barrier)) return
    checker.violation('barrier-lost', barrier, checker.lastAt, 'all before it is done, and nobody got it')
    return
  }
  for (const session of owed) {
    if (barrier.deliveredTo.get(session.subscriber) === session) continue
    checker.violation('barrier-missing', barrier, checker.lastAt, `${session.subscriber} never got it`)
  }
}

/** It cannot have been released before: it was not published, or an answered ack was not sent yet. */
function earliestRelease(queue: QueueState, barrier: Barrier): number {
  let at = barrier.invokedAt ?? Number.NEGATIVE_INFINITY
  if (barrier.isMoved) at = Number.NEGATIVE_INFINITY
  if (barrier.batch !== undefined)
    for (const [batch, leftAt] of queue.lastAckOf) if (batch <= barrier.batch) at = Math.max(at, leftAt)
  return Math.min(at, barrier.deliveredAt ?? at)
}

function isDue(checker: HistoryChecker, queue: QueueState, barrier: Barrier): boolean {
  const isFifo = checker.options.fifoPublishers ?? false
  for (const message of queue.messages.values()) {
    const isOver = message.ackedAt !== undefined || message.ended !== undefined || message.movedAt !== undefined
    if (exists(message) && !isOver && !isAfter(message, barrier, isFifo)) return false
  }
  return true
}

function judgeAtomic(checker: HistoryChecker): void {
  for (const [group, messages] of checker.atomic) {
    const mayBeGone = (message: Message): boolean =>
      message.isPerhapsGone || checker.lastAt >= message.endsAt || checker.mayBeDropped(message)
    if (messages.some(mayBeGone)) continue
    const there = messages.filter(exists)
    if (there.length === 0 || there.length === messages.length) continue
    const missing = messages.find(message => !exists(message)) as Message
    const detail = `${there.length} of ${messages.length} messages of ${group} are there, and this one is not`
    checker.violation('batch-torn', missing, checker.lastAt, detail)
  }
}
