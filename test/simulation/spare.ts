import { type Client, ConnectionError, RefusedError, SluiceError, type Subscription } from '@sluice/client'
import type { Life } from './loop.ts'
import type { Random } from './random.ts'

/** How long message ids are remembered there, in ms. */
const WINDOW_MS = 1_000
/** Longest wait before a deletion is tried again, in ms. */
const AGAIN_MS = 500

/**
 * A queue that nobody judges: it comes, forgets its ids and records soon, and goes, and what happens to it at a crash
 * must not touch the others. Resolves when it is surely gone.
 */
export async function comeAndGo(client: Client, name: string, { life, random }: { life: Life; random: Random }) {
  const queue = client.queue<string>(name)
  await tried(queue.publish('there is no such queue yet'))
  await tried(queue.declare({ dedupeWindowMs: WINDOW_MS, barrierRecords: 1 }))
  const subscription = queue.consume({ prefetch: random.int(0, 3) })
  const taken = tried(take(subscription))
  await publishSome()
  for (const party of ['one', 'other']) await tried(queue.barrier({ name: 'both', body: '', parties: 2, party }))
  await tried(queue.barrier({ name: 'last', body: '', force: true }))
  await tried(queue.purge({ leased: true }))
  await life.sleep(random.int(0, 2 * WINDOW_MS))
  await publishSome()
  while (!(await isGone())) await life.sleep(random.int(10, AGAIN_MS))
  await taken

  async function publishSome(): Promise<void> {
    const publishes = Array.from({ length: random.int(1, 8) }, (_, k) => queue.publish('some', { messageId: `${k}` }))
    await Promise.all(publishes.map(tried))
  }

  async function isGone(): Promise<boolean> {
    try {
      await queue.delete()
      return true
    } catch (error) {
      if (error instanceof RefusedError) return error.code === 'no-such-queue'
      if (error instanceof ConnectionError) return false
      throw error
    }
  }
}

/** Refused, or nobody knows: it goes on either way. */
async function tried(act: Promise<unknown>): Promise<void> {
  try {
    await act
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error
  }
}

/** Acks every second one, and holds the others. */
async function take(subscription: Subscription<string>): Promise<void> {
  for await (const value of subscription)
    if (value.kind === 'message' && value.sequence % 2 === 0) await tried(value.ack())
}
