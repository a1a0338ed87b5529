import type { Model } from './model.ts'
import { type Answer, type Piece, type Queue, type Step, seenAs } from './words.ts'

type BarrierPiece = Extract<Piece, { kind: 'barrier' }>

/** Why a barrier is refused (B1, B14); `duplicate` of a party that has come already. */
export function refusesBarrier(queue: Queue, { name, party, parties }: BarrierPiece): Answer | undefined {
  const gathering = queue.gathering.find(other => other.name === name)
  if (gathering !== undefined) {
    if (party === undefined || parties !== gathering.count) return 'barrier-mismatch'
    return gathering.arrivals.some(arrival => arrival.party === party) ? 'duplicate' : undefined
  }
  const used = [...queue.waiting, ...queue.records].find(other => name !== undefined && other.name === name)
  if (used !== undefined) {
    if (party !== undefined && used.parties !== undefined) {
      if (parties !== used.parties.count) return 'barrier-mismatch'
      if (used.parties.arrived.includes(party)) return 'duplicate'
    }
    return 'barrier-exists'
  }
  return queue.waiting.length + queue.gathering.length < queue.options.barriersMax ? undefined : 'too-many-barriers'
}

/** The first refusal that any of these publishes would meet, were they done in order. */
export function refusesCarried(
  model: Model,
  carried: Extract<Step, { kind: 'settle' }>['carried'],
  now: number,
): Answer | undefined {
  /** Queues as they would be with the barriers before. */
  const planned = new Map<string, Queue>()
  const ids = new Set<string>()
  for (const { queue: target, pieces } of carried) {
    const queue = model.queue(target)
    const { waiting, gathering } = queue
    const plan = planned.get(target) ?? { ...queue, waiting: [...waiting], gathering: structuredClone(gathering) }
    planned.set(target, plan)
    for (const piece of pieces) {
      if (piece.kind === 'refused') return 'not-accepted'
      if (piece.kind === 'messages' && piece.id !== undefined && seenAs(queue, piece.id, now) === undefined) {
        ids.add(`${target} ${piece.id}`)
        const fresh = [...ids].filter(id => id.startsWith(`${target} `)).length
        if (queue.seen.length + fresh > queue.options.dedupeMax) return 'server-busy'
      }
      if (piece.kind !== 'barrier') continue
      const refusal = refusesBarrier(plan, piece)
      if (refusal === 'duplicate') continue
      if (refusal !== undefined) return refusal
      add(plan, piece)
    }
  }
  return undefined
}

/** The barrier comes in, as far as later ones are refused by it. */
function add(queue: Queue, { name, party, parties: count = 1, color }: BarrierPiece): void {
  const known = queue.gathering.find(other => name !== undefined && other.name === name)
  const arrived = [...(known?.arrivals ?? []).map(arrival => arrival.party), ...(party === undefined ? [] : [party])]
  if (name !== undefined && party !== undefined && arrived.length < count) {
    if (known === undefined) queue.gathering.push({ name, count, deadlineAt: 0, arrivals: [] })
    queue.gathering.find(other => other.name === name)?.arrivals.push({ sequence: 0, party, color, rest: undefined })
    return
  }
  if (known !== undefined) queue.gathering.splice(queue.gathering.indexOf(known), 1)
  const parties = party === undefined ? {} : { parties: { count, arrived, sequences: [] } }
  const rest = { batch: 0, color, publishedAt: 0, rest: undefined, deadlineAt: 0, ended: undefined }
  queue.waiting.push({ sequence: 0, name, ...rest, ...parties })
}
