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
  const added = new Map<string, { name: string | undefined; isNew: boolean }[]>()
  const ids = new Set<string>()
  for (const { queue: target, pieces } of carried) {
    const queue = model.queue(target)
    const before = added.get(target) ?? []
    added.set(target, before)
    for (const piece of pieces) {
      if (piece.kind === 'refused') return 'not-accepted'
      if (piece.kind === 'messages' && piece.id !== undefined && seenAs(queue, piece.id, now) === undefined) {
        ids.add(`${target} ${piece.id}`)
        const fresh = [...ids].filter(id => id.startsWith(`${target} `)).length
        if (queue.seen.length + fresh > queue.options.dedupeMax) return 'server-busy'
      }
      if (piece.kind !== 'barrier') continue
      const { name } = piece
      const refusal = refusesBarrier(queue, piece)
      if (refusal === 'duplicate') continue
      if (refusal !== undefined) return refusal
      if (name !== undefined && before.some(other => other.name === name)) return 'barrier-exists'
      const isNew = !queue.gathering.some(gathering => gathering.name === name)
      before.push({ name, isNew })
      const more = before.filter(other => other.isNew).length
      if (isNew && queue.waiting.length + queue.gathering.length + more > queue.options.barriersMax)
        return 'too-many-barriers'
    }
  }
  return undefined
}
