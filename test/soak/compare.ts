import type { Fact } from '../../src/core/facts.ts'
import type { Journal } from '../../src/journal/journal.ts'
import { recordAt } from '../../src/journal/table/records.ts'
import { AT_LOST_MS, toldMessages } from '../journal/support.ts'
import { MARKER, NOISE, type PlannedMessage, type PlanState } from './plan.ts'

/** The turn up to which a journal kept everything. */
export function turnOf(facts: readonly Fact[]): number {
  for (const fact of facts) if (fact.kind === 'producerTaken' && fact.producer === MARKER) return fact.last
  return 0
}

const DIFFERENCES_MAX = 20

/** What a journal told at its start and a plan do not agree on; bodies aside. Nothing if all is as planned. */
export function compareFacts(facts: readonly Fact[], { queues }: PlanState): readonly string[] {
  const differences: string[] = []
  const told = toldMessages(facts)
  const places = told.entries()
  for (const [id, queue] of [...queues].sort(([a], [b]) => a - b)) {
    for (const [sequence, message] of queue.live) {
      if (differences.length > DIFFERENCES_MAX) return differences
      const place = `${id}/${sequence}`
      const { value } = places.next()
      if (value?.[0] !== place) return [...differences, `${place} should come next, not ${value?.[0] ?? 'the end'}`]
      const { batch, at, attempts, run } = value[1]
      if (batch !== message.batch) differences.push(`${place} is in batch ${batch}, not ${message.batch}`)
      if (Math.abs(at - message.at) >= AT_LOST_MS) differences.push(`${place} came at ${at}, not ${message.at}`)
      if (attempts !== message.attempts) differences.push(`${place} had ${attempts} attempts, not ${message.attempts}`)
      const [shown, planned] = [JSON.stringify(run), JSON.stringify(message.run)]
      if (shown !== planned) differences.push(`${place} is ${shown}, not ${planned}`)
    }
    differences.push(...compareSmallFacts(facts, id, queue))
  }
  const extra = places.next()
  if (!extra.done) differences.push(`${extra.value[0]} is there and should not`)
  for (const fact of facts)
    if (fact.kind === 'queueDeclared' && !queues.has(fact.queue)) differences.push(`queue ${fact.queue} is there again`)
  return differences
}

function compareSmallFacts(
  facts: readonly Fact[],
  id: number,
  queue: PlanState['queues'] extends Map<number, infer Q> ? Q : never,
): readonly string[] {
  const of = facts.filter(fact => 'queue' in fact && fact.queue === id)
  const counted = of.flatMap(fact => (fact.kind === 'batchCounted' ? [fact] : []))
  const told = {
    isDeclared: of.some(fact => fact.kind === 'queueDeclared'),
    waiting: of.flatMap(fact => (fact.kind === 'barrierPublished' ? [fact.sequence] : [])),
    records: of.flatMap(fact => (fact.kind === 'barrierReleased' ? [fact.record.sequence] : [])),
    seen: of.flatMap(fact => (fact.kind === 'seen' ? [fact.id] : [])).sort(),
    next: Math.max(1, ...counted.map(fact => fact.nextSequence)),
    published: Math.max(0, ...counted.map(fact => fact.stats.published)),
  }
  const { waiting, records, seen, next, published } = queue
  const planned = {
    isDeclared: true,
    waiting: waiting.map(barrier => barrier.sequence),
    records,
    seen: [...seen].sort(),
    next,
    published,
  }
  return Object.keys(told).flatMap(name => {
    const key = name as keyof typeof told
    const [shown, wanted] = [JSON.stringify(told[key]), JSON.stringify(planned[key])]
    return shown === wanted ? [] : [`queue ${id}: ${name} is ${cut(shown)}, not ${cut(wanted)}`]
  })
}

const cut = (text: string): string => (text.length > 200 ? `${text.slice(0, 200)}… (${text.length})` : text)

/** What is wrong with the body of a live message. */
export function compareBody(
  journal: Journal,
  queue: number,
  sequence: number,
  { offset, size }: PlannedMessage,
): string | undefined {
  const row = journal.row(queue, sequence)
  if (!row) return `${queue}/${sequence} is live and has no row`
  const bytes = recordAt(row.bytes, sequence - row.first)
  if (!bytes) return `${queue}/${sequence} is missing in its row`
  if (bytes.length !== size + 4) return `${queue}/${sequence} has ${bytes.length - 4} bytes, not ${size}`
  const isSame = Buffer.compare(bytes.subarray(4), NOISE.subarray(offset, offset + size)) === 0
  return isSame ? undefined : `${queue}/${sequence} has another body`
}
