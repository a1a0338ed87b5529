import type { Fact, QueueId, Sequence, Timestamp, TurnNumber } from '../core/facts.ts'

/** Message records one after another, as published: `first` is the sequence number of the first of them. */
export interface StoredRow {
  readonly first: Sequence
  readonly count: number
  /** When they came in; to the second for those that were there before the start. */
  readonly at: Timestamp
  /** Owned by the journal: never written to, valid as long as it is referenced. */
  readonly bytes: Uint8Array
}

/** Why a commit did not reach the disk; the process must end without another confirm (P2). */
export class JournalFailure extends Error {
  readonly code: 'commit-failed' | 'commit-overdue' | 'damaged' | 'locked' | 'bad-format' | 'unusable-folder'
  constructor(code: JournalFailure['code'], message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'JournalFailure'
    this.code = code
  }
}

/**
 * Keeps facts in the order of their turns; driven by the engine alone.
 *
 * Everything appended while a commit is under way, of all connections and queues, becomes durable together with the
 * next one, or where that is much with the next few, in the order of the turns. At most one commit is in flight.
 */
export interface Journal {
  /**
   * What still matters, in chunks, once and before any append. First `started`, then the definitions (and `queueDeleted`
   * of the highest queue number ever used, if that queue is gone: the number must not be used again), then of each
   * queue its counts, barriers, records, messages in sequence order (only live ones, `enqueued` without bytes), and
   * `returned` after the messages it names.
   *
   * @throws JournalFailure `damaged` when a row does not hold what its checksum says; nothing is skipped silently (R8).
   */
  restore(): AsyncIterable<readonly Fact[]>
  /** The facts of a turn belong together: all of them are kept or none. They may wait a few ms for others to go with. */
  append(turn: TurnNumber, facts: readonly Fact[]): void
  /** Somebody waits for this turn, which was appended: it goes with the next commit. */
  hurry(turn: TurnNumber): void
  /** Calls back with a number that never falls: every turn up to it is durable. */
  onCommitted(listener: (upTo: TurnNumber) => void): void
  /** Calls back once, and that is final: no `onCommitted` comes after it. */
  onFailed(listener: (reason: JournalFailure) => void): void
  /**
   * The row that holds a live message, also before its commit. Undefined when that message is settled or never was.
   *
   * @throws JournalFailure `damaged`
   */
  row(queue: QueueId, sequence: Sequence): StoredRow | undefined
  /** Bytes of bodies now in memory; the journal keeps them at or under its `memoryMax` by letting go of committed rows, newest first. */
  readonly memoryBytes: number
  /** Bytes of the disk that are taken and empty: what comes next goes there first. */
  readonly spareBytes: number
  /**
   * Writes everything, as it is after one commit, to a file that is not there yet, while commits go on. What was told as
   * committed before the call is in it. The file is not flushed. Absent: this journal is in no file.
   *
   * @throws the error of the disk
   */
  copyTo?(file: string): Promise<void>
  /** After the last commit; marks the stop as clean. */
  close(): Promise<void>
}
