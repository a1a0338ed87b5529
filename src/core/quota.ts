import type { Owned } from './facts.ts'
import type { Incoming, IncomingMessages, IncomingRun, Owner } from './publishing.ts'
import { type Refusal, refuse } from './refusals.ts'

/**
 * What a message counts beside its record, in bytes: what the row of a dead letter has besides, 243 bytes with key, note and
 * head for names of six letters, and 8 of LMDB. Without it a quota would bound large messages only: an empty record has 4.
 */
export const MESSAGE_OVERHEAD_BYTES = 256

/** How a message of this run counts. */
export function ownedBy({ name }: Owner, { recordBytes = 0 }: IncomingRun): Owned {
  return { owner: name, bytes: recordBytes + MESSAGE_OVERHEAD_BYTES }
}

/** What an owner may still have stored, while one command is judged. */
export class Quota {
  readonly #owner: Owner
  readonly #stored: number
  #asked = 0

  /** @param stored what it has stored, without what the same command ends */
  constructor(owner: Owner, stored: number) {
    this.#owner = owner
    this.#stored = stored
  }

  /** Adds what is kept whole or not at all. */
  ask(runs: readonly IncomingRun[]): void {
    for (const run of runs) this.#asked += run.count * ownedBy(this.#owner, run).bytes
  }

  /** Why all that was asked for does not fit; undefined when it does. */
  get refusal(): Refusal | undefined {
    return this.#left < this.#asked ? this.#refuse(this.#asked) : undefined
  }

  /** What of a stretch fits, and what does not, in order: each message is judged alone. */
  divided(stretch: IncomingMessages): Incoming[] {
    const pieces: Incoming[] = []
    let { index } = stretch
    let at = 0
    let fitting: Fitting | undefined
    for (const run of stretch.runs) {
      const { bytes } = ownedBy(this.#owner, run)
      const count = Math.min(run.count, Math.max(0, Math.floor((this.#left - this.#asked) / bytes)))
      if (count === stretch.count) return [stretch]
      if (count > 0) {
        this.#asked += count * bytes
        fitting ??= { index, at, count: 0, runs: [] }
        fitting.runs.push(cut(run, count))
        fitting.count += count
      }
      if (count < run.count) {
        if (fitting !== undefined) pieces.push(pieceOf(stretch, fitting))
        fitting = undefined
        pieces.push({
          kind: 'refused',
          index: index + count,
          count: run.count - count,
          refusal: this.#refuse(bytes, this.#asked),
        })
      }
      index += run.count
      at += run.count * (run.recordBytes ?? 0)
    }
    if (fitting !== undefined) pieces.push(pieceOf(stretch, fitting))
    return pieces
  }

  get #left(): number {
    return this.#owner.storedBytesMax - this.#stored
  }

  /** @param taken what the same command has stored before */
  #refuse(bytes: number, taken = 0): Refusal {
    const { storedBytesMax } = this.#owner
    const stored = this.#stored + taken
    const facts = { limit: 'stored_bytes_max', stored_bytes_max: storedBytesMax, stored_bytes: stored }
    // Waiting does not help what would never fit.
    if (bytes > storedBytesMax)
      return refuse(
        'message-too-large',
        `this counts ${bytes} bytes, and this token may have ${storedBytesMax} stored (stored_bytes_max)`,
        facts,
      )
    return refuse(
      'queue-full',
      `this token has ${stored} bytes stored, may have ${storedBytesMax} (stored_bytes_max), and this counts ${bytes}`,
      facts,
    )
  }
}

/** Messages next to one another that fit: the place of the first, and of its record. */
interface Fitting {
  readonly index: number
  readonly at: number
  readonly runs: IncomingRun[]
  count: number
}

function pieceOf(stretch: IncomingMessages, { index, at, count, runs }: Fitting): Incoming {
  const bytes = runs.reduce((sum, run) => sum + run.count * (run.recordBytes ?? 0), 0)
  return { kind: 'messages', index, count, bytes: stretch.bytes.subarray(at, at + bytes), runs }
}

function cut(run: IncomingRun, count: number): IncomingRun {
  return count === run.count ? run : { ...run, count, bodyBytes: Math.round((run.bodyBytes * count) / run.count) }
}
