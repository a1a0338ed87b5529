import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Client, Queue } from '@sluice/client'

/** A line of a store's file: `17,spatula-3,2`. */
export interface Sale {
  readonly store: number
  readonly item: string
  readonly quantity: number
}

/** What the consumers have worked in; it stands for the inventory database. */
export interface InventoryRow {
  readonly item: string
  readonly quantity: number
}

export interface NightlyQueues {
  readonly sales: Queue<Sale>
  readonly inventory: Queue<InventoryRow>
}

// #region queues
export async function openQueues(client: Client): Promise<NightlyQueues> {
  const sales = client.queue<Sale>('NIGHTLY_SALES_DATA')
  const inventory = client.queue<InventoryRow>('INVENTORY')
  await sales.declare({ barrier: '/is_eof = 1', expirationMs: 24 * 3_600_000 })
  await inventory.declare()
  return { sales, inventory }
}
// #endregion

/** The sales of all files, read as fast as they are wanted. */
export async function* readSales(files: readonly string[]): AsyncGenerator<Sale, void> {
  for (const file of files) {
    for await (const line of createInterface({ input: createReadStream(file) })) {
      const [store, item, quantity] = line.split(',')
      if (item !== undefined) yield { store: Number(store), item, quantity: Number(quantity) }
    }
  }
}

/** The next step of the night, which must not begin before every sale is worked in. */
export async function runPredictiveAnalytics(inventory: Queue<InventoryRow>): Promise<void> {
  const sold = new Map<string, number>()
  const rows = inventory.consume({ prefetch: 1_000 })
  await inventory.barrier()
  for await (const row of rows) {
    if (row.kind === 'barrier') break
    sold.set(row.body.item, (sold.get(row.body.item) ?? 0) + row.body.quantity)
    await row.ack()
  }
  for (const [item, quantity] of [...sold].sort(([a], [b]) => a.localeCompare(b))) console.log(`${item} ${quantity}`)
}
