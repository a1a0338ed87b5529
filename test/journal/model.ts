import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { EnqueuedRun, Fact } from '../../src/core/facts.ts'
import type { Data } from './conformance.ts'
import { AT, AT_LOST_MS, bodyOf, enqueued, OpenJournal, ORIGIN, settled, toldMessages } from './support.ts'

const queue = fc.constantFrom(1, 2)
/** A place among the live messages, as a share. */
const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('enqueue' as const),
      queue,
      count: fc.integer({ min: 1, max: 30 }),
      style: fc.nat(5),
      later: fc.constantFrom(0, 1, 2_000),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('settle' as const),
      queue,
      place,
      count: fc.integer({ min: 1, max: 40 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('return' as const),
      queue,
      place,
      count: fc.integer({ min: 1, max: 20 }),
      attempts: fc.nat(3),
      isDelayed: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('move' as const), queue, place }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('commit' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const), isClean: fc.boolean() }) },
)
type Step = typeof step extends fc.Arbitrary<infer S> ? S : never

interface ModelMessage {
  readonly body: string
  readonly batch: number
  readonly at: number
  readonly run: Omit<EnqueuedRun, 'count'>
  attempts?: number
  dueAgainAt?: number
}

/** Too simple to be wrong: a list of live messages for each queue. */
class Model {
  readonly live = { 1: new Map<number, ModelMessage>(), 2: new Map<number, ModelMessage>() } as Record<
    number,
    Map<number, ModelMessage>
  >
  readonly next: Record<number, number> = { 1: 1, 2: 1 }
  batch = 0
  at = AT

  /** What this step decides; undefined if it does not apply. */
  decide(step: Step): Fact | undefined {
    switch (step.kind) {
      case 'enqueue':
        return this.#enqueue(step)
      case 'settle':
      case 'return': {
        const range = this.#range(step.queue, step.place, step.count)
        if (!range) return undefined
        const messages = Array.from({ length: range.count }, (_, index) => range.first + index)
        if (step.kind === 'settle') {
          for (const sequence of messages) this.live[step.queue]!.delete(sequence)
          return settled(step.queue, range.first, range.count)
        }
        const due = step.isDelayed ? { dueAt: this.at + 50 } : {}
        for (const sequence of messages) {
          const { dueAgainAt: _, ...message } = this.live[step.queue]!.get(sequence)!
          const dueAgain = step.isDelayed ? { dueAgainAt: this.at + 50 } : {}
          this.live[step.queue]!.set(sequence, { ...message, attempts: step.attempts, ...dueAgain })
        }
        return { kind: 'returned', queue: step.queue, ...range, attempts: step.attempts, ...due }
      }
      case 'move': {
        const range = this.#range(step.queue, step.place, 1)
        if (!range) return undefined
        const to = 3 - step.queue
        const toSequence = this.next[to]!++
        const { body } = this.live[step.queue]!.get(range.first)!
        this.live[step.queue]!.delete(range.first)
        this.live[to]!.set(toSequence, { body, batch: this.batch, at: this.at, run: { origin: ORIGIN } })
        return {
          kind: 'moved',
          queue: step.queue,
          sequence: range.first,
          to,
          toSequence,
          toBatch: this.batch,
          at: this.at,
          run: { count: 1, origin: ORIGIN },
        }
      }
      default:
        return undefined
    }
  }

  #enqueue({ queue, count, style, later }: Extract<Step, { kind: 'enqueue' }>): Fact {
    this.at += later
    // Sometimes a barrier or something refused takes a number, and sometimes another batch begins.
    if (style === 1) this.next[queue]!++
    if (style === 2) this.batch++
    const half = Math.ceil(count / 2)
    const runs =
      style !== 3
        ? undefined
        : [
            { count: half, priority: count, owned: { owner: 'ann', bytes: 300 } },
            { count: count - half, group: 'g' },
          ].filter(run => run.count > 0)
    const first = this.next[queue]!
    this.next[queue] = first + count
    for (let index = 0; index < count; index++) {
      const { count: _, ...run } = runs ? (index < half ? runs[0]! : runs[1]!) : { count: 0 }
      this.live[queue]!.set(first + index, { body: bodyOf(first + index), batch: this.batch, at: this.at, run })
    }
    const fact = enqueued(queue, first, count, { batch: this.batch, at: this.at })
    return runs ? { ...fact, runs } : fact
  }

  /** Neighbours that are live, from a place on. */
  #range(queue: number, place: number, countMax: number): { first: number; count: number } | undefined {
    const live = [...this.live[queue]!.keys()]
    const first = live[Math.floor(place * live.length)]
    if (first === undefined) return undefined
    let count = 1
    while (count < countMax && this.live[queue]!.has(first + count)) count++
    return { first, count }
  }
}

/** Random histories: whatever happened, a restart finds what a plain list holds. */
export function journalModel(newData: () => Data, runs: number): void {
  test('R1: after any history a restart finds exactly what is live, in order, with its bodies', {
    timeout: 120_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 1, maxLength: 60 }),
        fc.constantFrom(0, 2_000, 1e9),
        async (steps, memoryMax) => {
          const data = newData()
          try {
            const model = new Model()
            let opened = await OpenJournal.restore(await data.open({ memoryMax }))
            for (const next of [...steps, { kind: 'restart', isClean: false } as const]) {
              const fact = model.decide(next)
              if (fact) opened.append(fact)
              if (next.kind === 'commit') await opened.commit()
              if (next.kind !== 'restart') continue
              expectBodies(opened, model)
              await opened.commit()
              if (next.isClean) await opened.journal.close()
              else await data.crash(opened.journal)
              opened = await OpenJournal.restore(await data.open({ memoryMax }))
              expectSame(opened, model)
              expectBodies(opened, model)
            }
            await opened.journal.close()
          } finally {
            await data.remove()
          }
        },
      ),
      { numRuns: runs },
    )
  })
}

function expectSame({ restored }: OpenJournal, model: Model): void {
  const told = toldMessages(restored)
  const expected = [1, 2].flatMap(queue =>
    [...model.live[queue]!].map(([sequence, message]) => [`${queue}/${sequence}`, message] as const),
  )
  expect([...told.keys()]).toEqual(expected.map(([name]) => name))
  for (const [name, { body: _, at, ...message }] of expected) {
    const { at: toldAt, ...rest } = told.get(name)!
    expect(rest, name).toEqual(message)
    expect(Math.abs(toldAt - at), name).toBeLessThan(AT_LOST_MS)
  }
}

function expectBodies(opened: OpenJournal, model: Model): void {
  for (const queue of [1, 2]) {
    for (let sequence = 0; sequence <= model.next[queue]!; sequence++) {
      expect(opened.body(queue, sequence)).toBe(model.live[queue]!.get(sequence)?.body)
    }
  }
}
