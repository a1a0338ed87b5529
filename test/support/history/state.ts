/** A subscriber's time from subscribe to disconnect, unsubscribe or kill. */
export interface Session {
  readonly queue: string
  readonly process: string
  readonly subscriber: string
  readonly startedAt: number
  /** It takes only some barriers. */
  readonly isFiltered: boolean
  isOpen: boolean
  /** Messages delivered in it, and neither settled nor given back. */
  readonly held: Set<Message>
  /** Places of what came last in queue order. */
  highestBatch: number
  highestSeq: number
  readonly barriers: Barrier[]
  /** When it got those that were not replayed. */
  readonly toldAt: Map<Barrier, number>
  /** By queue from which a route leads here: the highest place that had been told when it ended. */
  readonly highestAtEnd: Map<string, number>
}

/** Where something is in its queue, as far as anybody was told. */
export interface Place {
  seq: number | undefined
  batch: number | undefined
  invokedAt: number | undefined
  confirmedAt: number | undefined
  /** Process and count of its publishes, for publishers whose order counts. */
  publisher: string | undefined
  publishedIndex: number
}

interface Published extends Place {
  readonly queue: string
  readonly id: string
  attempts: number
  fails: number
  /** It came from another queue, by a route. */
  readonly isMoved: boolean
}

export interface Message extends Published {
  /** An ack in the same queue carried it: it is in the batch of the message acked, however late it was published (B16). */
  isCarried: boolean
  isDeduped: boolean
  /** Its confirm said `accepted`. */
  isAccepted: boolean
  endsAt: number
  atomic: string | undefined
  deliveries: number
  /** Deliveries without the flag. */
  unflagged: number
  highestAttempt: number
  lastDeliveredAt: number
  lastSession: Session | undefined
  holder: Session | undefined
  /** Something happened after which it may come again. */
  mayComeAgain: boolean
  /** Subscribers with an ack on its way: of the last one, when it left, and of which delivery it is. */
  readonly acking: Map<string, { readonly leftAt: number; readonly delivery: number | undefined }>
  /** Acks sent less those refused. */
  acksOpen: number
  ackedAt: number | undefined
  ackedBy: string | undefined
  /** Server starts before its ack was answered. */
  ackedEpoch: number
  ended: string | undefined
  /** A `discard` of all: it may or may not be there. */
  isPerhapsGone: boolean
  movedAt: number | undefined
  /** The highest place that anybody had seen in its queue when it surely was elsewhere: back from there it stands behind that. */
  highestAtMove: number
}

export interface Barrier extends Published {
  outcome: string | undefined
  deliveredAt: number | undefined
  readonly deliveredTo: Map<string, Session | undefined>
  readonly ackedBy: Set<string>
  /** Nothing that is live stood before it when this was looked at. */
  isCleared: boolean
  /** Live messages that may stand before it, and how often something behind it was seen to go first. */
  readonly suspected: Map<Message, number>
}

export class QueueState {
  readonly name: string
  readonly messages = new Map<string, Message>()
  readonly barriers = new Map<string, Barrier>()
  /** By subscriber: the newest session. */
  readonly sessions = new Map<string, Session>()
  readonly allSessions: Session[] = []
  /** Messages for which no ack is on its way and that did not end. */
  readonly live = new Set<Message>()
  /** Barriers that nobody got yet, or that were not cleared. */
  readonly fences = new Set<Barrier>()
  readonly bySeq = new Map<number, string>()
  /** Of all places that were told. */
  highestSeq: number = Number.NEGATIVE_INFINITY
  /** Of what was delivered, a message of the highest batch. */
  furthest: Message | undefined
  /** The last moment at which a session or a lease ended, or a subscription that never got its answer. */
  lastReturnAt: number = Number.NEGATIVE_INFINITY
  /** The last `discard` of all. */
  lastDiscardAt: number = Number.NEGATIVE_INFINITY
  /** By batch number: when the last ack left that was answered. */
  readonly lastAckOf = new Map<number, number>()

  constructor(name: string) {
    this.name = name
  }
}

// Written out, not spread: the engine makes such an object at once, and there is one for each message of a history.
export function newMessage(queue: string, id: string, isMoved: boolean): Message {
  return {
    seq: undefined,
    batch: undefined,
    invokedAt: undefined,
    confirmedAt: undefined,
    publisher: undefined,
    publishedIndex: 0,
    queue,
    id,
    isMoved,
    attempts: 0,
    fails: 0,
    isCarried: false,
    isDeduped: false,
    isAccepted: false,
    endsAt: Number.POSITIVE_INFINITY,
    atomic: undefined,
    deliveries: 0,
    unflagged: 0,
    highestAttempt: 0,
    lastDeliveredAt: Number.NEGATIVE_INFINITY,
    lastSession: undefined,
    holder: undefined,
    mayComeAgain: false,
    acking: new Map(),
    acksOpen: 0,
    ackedAt: undefined,
    ackedBy: undefined,
    ackedEpoch: 0,
    ended: undefined,
    isPerhapsGone: false,
    movedAt: undefined,
    highestAtMove: Number.NEGATIVE_INFINITY,
  }
}

export function newBarrier(queue: string, id: string, isMoved: boolean): Barrier {
  return {
    seq: undefined,
    batch: undefined,
    invokedAt: undefined,
    confirmedAt: undefined,
    publisher: undefined,
    publishedIndex: 0,
    queue,
    id,
    isMoved,
    attempts: 0,
    fails: 0,
    outcome: undefined,
    deliveredAt: undefined,
    deliveredTo: new Map(),
    ackedBy: new Set(),
    isCleared: false,
    suspected: new Map(),
  }
}

/** Whether `a` stands before the barrier for sure: by batch number, else by sequence number, else by real time. */
export function isBefore(a: Message, barrier: Barrier, hasFifoPublishers: boolean): boolean {
  if (a.batch !== undefined && barrier.batch !== undefined) return a.batch <= barrier.batch
  if (a.seq !== undefined && barrier.seq !== undefined) return a.seq < barrier.seq
  if (a.isMoved || barrier.isMoved) return false
  if (a.confirmedAt !== undefined && barrier.invokedAt !== undefined && a.confirmedAt < barrier.invokedAt) return true
  return hasFifoPublishers && isSameLine(a, barrier) && a.publishedIndex < barrier.publishedIndex
}

/** Whether `a` stands behind the barrier for sure. */
export function isAfter(a: Message, barrier: Barrier, hasFifoPublishers: boolean): boolean {
  if (a.batch !== undefined && barrier.batch !== undefined) return a.batch > barrier.batch
  // Work that makes work has a later number and is published later, and stands in an earlier batch all the same.
  if (a.isCarried) return false
  if (a.seq !== undefined && barrier.seq !== undefined) return a.seq > barrier.seq
  if (a.isMoved || barrier.isMoved) return false
  if (barrier.confirmedAt !== undefined && a.invokedAt !== undefined && a.invokedAt > barrier.confirmedAt) return true
  return hasFifoPublishers && isSameLine(a, barrier) && a.publishedIndex > barrier.publishedIndex
}

function isSameLine(a: Place, b: Place): boolean {
  return a.publisher !== undefined && a.publisher === b.publisher
}

/** Publishes that may have put it into the queue. */
export function publishesOf(message: Message): number {
  const possible = message.attempts - message.fails + (message.isMoved ? 1 : 0)
  return message.isDeduped ? Math.min(1, possible) : possible
}
