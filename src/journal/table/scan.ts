import { JournalFailure } from '../journal.ts'
import {
  BARRIER,
  kindOf,
  MESSAGES,
  numberOf,
  PARTY,
  PRODUCER,
  queueOf,
  RECORD,
  readMessagesKey,
  SEEN,
  SETTLED,
} from './keys.ts'
import { Ledger } from './ledger.ts'
import { restore } from './restore.ts'
import { damaged, decodeRow } from './row-codec.ts'
import { eachKey, type Table } from './table.ts'
import { formatOf } from './table-journal.ts'

/** What is kept of a queue. */
export interface QueueContents {
  readonly queue: string
  messages: number
  /** Of their bodies; of rows that are settled in part a share. */
  bytes: number
  barriers: number
  records: number
  producers: number
  messageIds: number
  parties: number
}

export interface ScanReport {
  readonly format: number
  readonly rows: number
  readonly queues: readonly QueueContents[]
  /** What is wrong and where, the first hundred. Empty: nothing is. */
  readonly damage: readonly string[]
  readonly damagedCount: number
}

const DAMAGE_MAX = 100

/**
 * Reads every row of a table and compares it with its checksum, then puts everything together as a start would. Changes
 * nothing.
 */
export function scanTable(table: Table): ScanReport {
  const scan = new Scan(table)
  return scan.run()
}

class Scan {
  readonly #table: Table
  readonly #queues = new Map<number, QueueContents>()
  readonly #damage: string[] = []
  #damagedCount = 0
  #rows = 0
  #format = 0
  /** Settled messages of the rows to come, of one queue at a time. */
  #settled = new Map<number, number>()
  #settledQueue = 0

  constructor(table: Table) {
    this.#table = table
  }

  run(): ScanReport {
    this.#try(() => {
      this.#format = formatOf(this.#table)
      for (const key of eachKey(this.#table, Buffer.of(0), Buffer.of(0xff))) this.#try(() => this.#row(key))
    })
    // Rows can be whole and not fit together; where some are not whole that would be told twice.
    if (this.#damagedCount === 0) {
      this.#try(() => {
        for (const _ of restore(this.#table, new Ledger(this.#table, 0)));
      })
    }
    return {
      format: this.#format,
      rows: this.#rows,
      queues: [...this.#queues.values()].sort((a, b) => (a.queue < b.queue ? -1 : 1)),
      damage: this.#damage,
      damagedCount: this.#damagedCount,
    }
  }

  #try(work: () => void): void {
    try {
      work()
    } catch (error) {
      if (!(error instanceof JournalFailure)) throw error
      this.#note(error.message)
    }
  }

  #note(damage: string): void {
    this.#damagedCount += 1
    if (this.#damage.length < DAMAGE_MAX) this.#damage.push(damage)
  }

  #row(key: Uint8Array): void {
    this.#rows += 1
    const { note, bytes } = decodeRow(key, this.#table.get(key))
    const kind = kindOf(key)
    if (kind === 'definition') {
      this.#queues.set(queueOf(key), contentsOf((note as { name: string }).name))
      return
    }
    if (kind === undefined) return
    const queue = this.#queues.get(queueOf(key))
    // Of a queue that is being deleted there may be rows left.
    if (queue === undefined) return
    switch (kind) {
      case BARRIER:
        queue.barriers += 1
        break
      case RECORD:
        queue.records += 1
        break
      case PRODUCER:
        queue.producers += 1
        break
      case PARTY:
        queue.parties += 1
        break
      case SEEN:
        queue.messageIds += 1
        break
      case SETTLED:
        this.#noteSettled(key, bytes)
        break
      case MESSAGES:
        this.#countMessages(queue, key)
        break
      default:
    }
  }

  #noteSettled(key: Uint8Array, bits: Uint8Array): void {
    if (this.#settledQueue !== queueOf(key)) this.#settled = new Map()
    this.#settledQueue = queueOf(key)
    let count = 0
    for (const byte of bits) for (let rest = byte; rest > 0; rest &= rest - 1) count += 1
    this.#settled.set(numberOf(key), count)
  }

  #countMessages(queue: QueueContents, key: Uint8Array): void {
    const row = readMessagesKey(key)
    if (row === undefined) throw damaged(key, 'has a key that cannot be read')
    const settled = this.#settledQueue === queueOf(key) ? (this.#settled.get(row.first) ?? 0) : 0
    queue.messages += row.count - settled
    queue.bytes += Math.round((row.bodyBytes * (row.count - settled)) / row.count)
  }
}

function contentsOf(queue: string): QueueContents {
  return { queue, messages: 0, bytes: 0, barriers: 0, records: 0, producers: 0, messageIds: 0, parties: 0 }
}
