import type { Client, Queue } from '@sluice/client'

export interface Item {
  readonly id: string
  readonly text: string
  /** How often it goes wrong before it goes well. */
  readonly failures: number
}

/** The queue counts the attempts; after three it moves the item to `demo-1.dead`. */
export const ATTEMPTS_MAX = 3
/** For so long the queue leaves out an item that it had before. */
const DEDUPE_WINDOW_MS = 3_600_000

// #region queue
export async function openItems(client: Client): Promise<Queue<Item>> {
  const items = client.queue<Item>('demo-1')
  await items.declare({ deliveriesMax: ATTEMPTS_MAX, retryDelayMs: 200, dedupeWindowMs: DEDUPE_WINDOW_MS })
  return items
}
// #endregion
