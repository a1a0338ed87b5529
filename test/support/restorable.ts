import type { Fact } from '../../src/core/facts.ts'

/** What a journal would restore of these facts: the simplest one that is right, by lists. */
export function restorable(facts: readonly Fact[]): Fact[] {
  const definitions = new Map<number, Fact>()
  let highest = 0
  const counted = new Map<string, Fact>()
  const barriers = new Map<string, Fact>()
  const records = new Map<string, Fact>()
  const producers = new Map<string, Fact>()
  const parties = new Map<string, Fact>()
  const ids = new Map<string, Fact>()
  const messages = new Map<string, { readonly enqueued: Fact; returned?: Fact }>()
  for (const fact of facts) {
    switch (fact.kind) {
      case 'queueDeclared':
        definitions.set(fact.queue, fact)
        highest = Math.max(highest, fact.queue)
        break
      case 'queueDeleted':
        definitions.delete(fact.queue)
        break
      case 'partyArrived':
        parties.set(`${fact.queue} ${fact.sequence}`, fact)
        break
      case 'partiesPlaced':
        for (const sequence of fact.sequences) parties.delete(`${fact.queue} ${sequence}`)
        break
      case 'seen':
        ids.set(`${fact.queue} ${fact.id}`, fact)
        break
      case 'unseen':
        ids.delete(`${fact.queue} ${fact.id}`)
        break
      case 'batchCounted':
        counted.set(`${fact.queue} ${fact.batch}`, fact)
        break
      case 'barrierPublished':
        barriers.set(`${fact.queue} ${fact.sequence}`, fact)
        break
      case 'barrierReleased':
        barriers.delete(`${fact.queue} ${fact.record.sequence}`)
        counted.delete(`${fact.queue} ${fact.record.batch}`)
        records.set(`${fact.queue} ${fact.record.sequence}`, fact)
        break
      case 'barrierForgotten':
        records.delete(`${fact.queue} ${fact.sequence}`)
        break
      case 'producerTaken':
        producers.set(`${fact.queue} ${fact.producer}`, fact)
        break
      case 'producerForgotten':
        producers.delete(`${fact.queue} ${fact.producer}`)
        break
      case 'enqueued': {
        let first = fact.first
        for (const run of fact.runs ?? [{ count: fact.count }]) {
          for (let k = 0; k < run.count; k += 1) {
            messages.set(`${fact.queue} ${first}`, {
              enqueued: { ...fact, first, count: 1, runs: [{ ...run, count: 1 }] },
            })
            first += 1
          }
        }
        break
      }
      case 'settled':
        for (let k = 0; k < fact.count; k += 1) {
          if (!messages.delete(`${fact.queue} ${fact.first + k}`))
            throw new Error(`${fact.first + k} was settled and is not there`)
        }
        break
      case 'returned':
        for (let k = 0; k < fact.count; k += 1) {
          const message = messages.get(`${fact.queue} ${fact.first + k}`)
          if (message !== undefined) message.returned = { ...fact, first: fact.first + k, count: 1 }
        }
        break
      case 'moved':
        if (!messages.delete(`${fact.queue} ${fact.sequence}`))
          throw new Error(`${fact.sequence} was moved and is not there`)
        messages.set(`${fact.to} ${fact.toSequence}`, {
          enqueued: {
            kind: 'enqueued',
            queue: fact.to,
            first: fact.toSequence,
            count: 1,
            batch: fact.toBatch,
            at: fact.at,
            runs: [fact.run],
          },
        })
        break
      default:
        throw new Error(`${fact.kind} is not restorable here`)
    }
  }
  const returned = [...messages.values()].flatMap(message => (message.returned === undefined ? [] : [message.returned]))
  const contents = [
    ...counted.values(),
    ...barriers.values(),
    ...records.values(),
    ...producers.values(),
    ...[...messages.values()].map(({ enqueued }) => enqueued),
    ...returned,
    ...parties.values(),
    ...ids.values(),
  ]
  const gone: Fact[] = definitions.has(highest) ? [] : [{ kind: 'queueDeleted', queue: highest }]
  return [
    ...[...definitions.values()].sort((a, b) => queueOf(a) - queueOf(b)),
    ...gone,
    ...contents.filter(fact => definitions.has(queueOf(fact))),
  ]
}

function queueOf(fact: Fact): number {
  return 'queue' in fact ? fact.queue : 0
}
