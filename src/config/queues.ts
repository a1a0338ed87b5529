import type { QueueOptionsInput, QueueView, Refusal } from '../engine/peer.ts'
import { type QueueConfig, queueConfigError } from './config.ts'

/** What of the engine a configuration file needs. */
export interface QueueDeclarer {
  declare(name: string, options: QueueOptionsInput): { readonly created: boolean; readonly queue: QueueView } | Refusal
  update(name: string, options: QueueOptionsInput): QueueView | Refusal
}

/** A queue that was there with other options than the file has. */
export interface QueueUpdate {
  readonly queue: string
  /** The options that differed, as the file has them. */
  readonly changed: QueueOptionsInput
  /** Where the file says so. */
  readonly place: string
}

/**
 * Makes the queues what the file says: declares those that are missing and updates the options that differ. What the
 * file leaves out stays as it is, queues and options.
 *
 * Queues that others name come before those: so what the file turns round is no circle on the way.
 *
 * @param updated told of each update, to be logged: a file that changes what somebody else has set is not silent
 * @throws ConfigError at the option that the engine refuses
 */
export function applyQueues(
  engine: QueueDeclarer,
  queues: readonly QueueConfig[],
  updated: (update: QueueUpdate) => void = () => {},
): void {
  for (const queue of namedFirst(queues)) {
    const declared = engine.declare(queue.name, queue.options)
    if (!isRefusal(declared)) continue
    if (declared.code !== 'queue-mismatch') throw queueConfigError(queue, declared)
    const changed = Object.fromEntries(
      Object.entries(queue.options).filter(([option]) => differsOf(declared).includes(option)),
    )
    const answer = engine.update(queue.name, changed)
    if (isRefusal(answer)) throw queueConfigError(queue, answer)
    updated({ queue: queue.name, changed, place: queue.place })
  }
}

/** In the order of the file, but each behind the queues that it names. A circle is left to the engine to refuse. */
function namedFirst(queues: readonly QueueConfig[]): readonly QueueConfig[] {
  const byName = new Map(queues.map(queue => [queue.name, queue]))
  const ordered = new Set<QueueConfig>()
  const visited = new Set<QueueConfig>()
  const visit = (queue: QueueConfig | undefined): void => {
    if (queue === undefined || visited.has(queue)) return
    visited.add(queue)
    for (const name of namesIn(queue.options)) visit(byName.get(name))
    ordered.add(queue)
  }
  queues.forEach(visit)
  return [...ordered]
}

function namesIn({ dead_letter, forward_barrier, announce }: QueueOptionsInput): readonly string[] {
  return [dead_letter, forward_barrier, announce].flat().filter(name => typeof name === 'string')
}

function differsOf({ facts }: Refusal): readonly string[] {
  const differs = facts?.['differs']
  return Array.isArray(differs) ? differs : []
}

function isRefusal(answer: object): answer is Refusal {
  return 'code' in answer && 'detail' in answer
}
