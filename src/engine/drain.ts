import type { Engine } from './engine.ts'

/** How often it is looked whether anything is left, in ms. */
const LOOK_MS = 10

/**
 * Lets what is being worked on come to its end: nothing is delivered any more, publishers stop, and settles go on. What
 * the last of them releases or carries is done.
 *
 * @returns how many leases are left: 0, or those that did not end in time
 */
export async function drain(engine: Engine, withinMs: number): Promise<number> {
  if (!engine.isOpen) return 0
  engine.beginDrain()
  const { clock } = engine
  const leased = (): number => [...engine.broker.queues()].reduce((sum, queue) => sum + queue.leased, 0)
  for (const until = clock.now() + withinMs; leased() > 0 && clock.now() < until && engine.isOpen; ) {
    await new Promise<void>(resolve => clock.at(clock.now() + LOOK_MS, resolve))
  }
  // The last acks are decided, not answered: who waits for them must hear of it before it is let go.
  if (engine.isOpen) await new Promise<void>(resolve => engine.answer(resolve))
  return leased()
}
