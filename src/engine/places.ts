import type { Sequence } from '../core/facts.ts'
import { Heap } from '../core/heap.ts'
import type { Queue } from '../core/queue.ts'
import type { Ready } from '../core/ready.ts'
import type { Run } from '../core/run.ts'
import type { Held } from '../core/subscription.ts'
import type { MessageView } from './peer.ts'

/** Messages next to one another, and what they are doing there. */
export interface Place {
  readonly run: Run
  readonly held: Held | undefined
  readonly state: MessageView['state']
}

/** Runs of one kind by sequence number, and the first of them that was not given yet. */
interface Source {
  heapAt: number
  place: Place
  readonly rest: Iterator<Run, void> | undefined
}

/**
 * Live messages behind `after`, by sequence number: what is given costs its logarithm, what is not given nothing.
 * Beginning costs a look at each batch, at each priority in it, and at each run that is out. Nothing must change meanwhile.
 */
export function* placesAfter(
  queue: Queue,
  after: Sequence,
  state: MessageView['state'] | undefined,
): Generator<Place, void, undefined> {
  const sources = new Heap<Source>((a, b) => a.place.run.first < b.place.run.first)
  const add = (run: Run | undefined, rest: Iterator<Run, void> | undefined, of: Omit<Place, 'run'>) => {
    if (run !== undefined) sources.put({ heapAt: -1, place: { run, ...of }, rest })
  }
  const addAll = (runs: Iterable<Run>, of: MessageView['state']) => {
    const rest = runs[Symbol.iterator]() as Iterator<Run, void>
    const first = rest.next()
    if (first.done !== true) add(first.value, rest, { held: undefined, state: of })
  }
  if (state === undefined || state === 'ready') {
    for (const { ready, groups } of queue.batches) {
      for (const priority of ready.priorities()) addAll(readyFrom(ready, priority, after + 1), 'ready')
      addAll(groups.from(after + 1), 'ready')
    }
  }
  if (state === undefined || state === 'delayed') addAll(queue.delayed.from(after + 1), 'delayed')
  if (state === undefined || state === 'leased') {
    for (const held of queue.heldRuns()) {
      const { run, isSpent } = held
      if (!isSpent && run.first + run.count > after + 1) add(run, undefined, { held, state: 'leased' })
    }
  }
  for (let source = sources.first; source !== undefined; source = sources.first) {
    yield source.place
    const next = source.rest?.next()
    if (next === undefined || next.done === true) sources.delete(source)
    else {
      source.place = { ...source.place, run: next.value }
      sources.put(source)
    }
  }
}

/** Ready runs of one priority with messages from this one on. */
function* readyFrom(ready: Ready, priority: number, sequence: Sequence): Generator<Run, void, undefined> {
  const probe = { priority, first: sequence } as Run
  const straddling = ready.before(probe)
  if (straddling?.priority === priority && straddling.first + straddling.count > sequence) yield straddling
  for (const run of ready.from(probe)) {
    if (run.priority !== priority) return
    yield run
  }
}
