import type { BatchRecord } from '@sluice/client'
import { HistoryChecker, type HistoryEvent, type HistoryReport } from '../../support/history/history.ts'
import { type Note, readNotebooks } from './notes.ts'
import { LEASE_MS, OUT, WORK } from './queues.ts'

/** What clocks and the way may take from a lease, as seen by its holder. */
const LEASE_SLACK_MS = 1_000

export interface Verdict {
  readonly report: HistoryReport
  /** What the checker of histories does not look at. */
  readonly wrong: readonly string[]
  readonly events: readonly HistoryEvent[]
}

/**
 * Judges an episode: its history, and what only we can know of it.
 *
 * @param records released barriers by queue, at the end
 * @param wrong what went wrong on the way
 */
export function judgeEpisode(
  notebooks: readonly string[],
  records: Readonly<Record<string, readonly BatchRecord[]>>,
  wrong: readonly string[],
): Verdict {
  const { events, notes } = readNotebooks(notebooks)
  const checker = new HistoryChecker({
    leaseMs: { [WORK]: LEASE_MS - LEASE_SLACK_MS },
    atomicBatches: true,
    fifoPublishers: true,
  })
  for (const event of events) checker.take(event)
  const killed = new Set(events.flatMap(({ type, process }) => (type === 'disconnect' ? [process] : [])))
  return {
    report: checker.finish(),
    wrong: [
      ...wrong,
      ...notes.flatMap(note => (note.note === 'wrong' ? [note.what] : [])),
      ...unreleased(notes, killed),
      ...carriedTwice(events),
      ...miscounted(events, records),
    ],
    events,
  }
}

/** Whoever waits for a confirmed barrier is told, unless somebody killed him (B10). */
function unreleased(notes: readonly Note[], ended: ReadonlySet<string | undefined>): readonly string[] {
  const released = new Set(notes.flatMap(note => (note.note === 'released' ? [note.name] : [])))
  return notes.flatMap(note => {
    if (note.note !== 'waiting' || released.has(note.name)) return []
    const [publisher] = note.name.split('.')
    return ended.has(publisher) ? [] : [`nobody was told of the release of ${note.name}`]
  })
}

/** Of the messages that acks of one message carried, one exists: the one of the ack that counted (A4). */
function carriedTwice(events: readonly HistoryEvent[]): readonly string[] {
  const outOf = new Map<string, Set<string>>()
  const plainlyAcked = new Set<string>()
  const carriedOk = new Set<string>()
  for (const { type, queue, id } of events) {
    const [source] = `${id}`.split('>')
    if (queue === OUT && type === 'publish-ok') carriedOk.add(source!)
    if (queue !== OUT || type !== 'deliver') continue
    const outs = outOf.get(source!) ?? new Set()
    outOf.set(source!, outs.add(`${id}`))
  }
  for (const { type, queue, id } of events)
    if (queue === WORK && type === 'ack-ok' && !carriedOk.has(`${id}`)) plainlyAcked.add(`${id}`)
  return [...outOf].flatMap(([source, outs]) => [
    ...(outs.size > 1 ? [`${source} was carried more than once: ${[...outs].join(', ')}`] : []),
    ...(plainlyAcked.has(source) ? [`${source} was acked plainly and carried as well: ${[...outs].join(', ')}`] : []),
  ])
}

/**
 * The statistics of a queue's batches, together, are of what was there: exact over every crash (B3). What was only
 * accepted may be lost after it was delivered (D12), unless its ack was answered.
 */
function miscounted(
  events: readonly HistoryEvent[],
  records: Readonly<Record<string, readonly BatchRecord[]>>,
): readonly string[] {
  return Object.entries(records).flatMap(([queue, released]) => {
    const of = events.filter(event => event.queue === queue)
    const idsOf = (type: HistoryEvent['type']) => new Set(of.flatMap(event => (event.type === type ? [event.id] : [])))
    const delivered = idsOf('deliver')
    const surelyAcked = idsOf('ack-ok')
    const accepted = new Set(of.flatMap(({ level, id }) => (level === 'accepted' ? [id] : [])))
    const perhapsLost = [...delivered].filter(id => accepted.has(id) && !surelyAcked.has(id)).length
    const published = released.reduce((sum, { stats }) => sum + stats.published, 0)
    const acked = released.reduce((sum, { stats }) => sum + stats.acked, 0)
    const isRight = published === acked && published <= delivered.size && published >= delivered.size - perhapsLost
    const counted = `${delivered.size} messages were delivered, its barriers count ${published} published, ${acked} acked`
    return isRight ? [] : [`${queue}: ${counted}`]
  })
}
