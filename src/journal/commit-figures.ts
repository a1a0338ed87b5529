/** Upper bounds of the buckets, in ms: from a fast disk to one that is about to be given up. */
export const COMMIT_BUCKETS_MS: readonly number[] = [
  0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096,
]

/** How writes to the disk went since the start. */
export class CommitFigures {
  count = 0
  failed = 0
  sumMs = 0
  lastMs = 0
  /** Commits in each bucket alone, and last those above all bounds. */
  readonly buckets: number[] = Array.from({ length: COMMIT_BUCKETS_MS.length + 1 }, () => 0)

  /** A write has ended. */
  wrote(ms: number, isFailed: boolean): void {
    if (isFailed) {
      this.failed += 1
      return
    }
    this.count += 1
    this.sumMs += ms
    this.lastMs = ms
    const bucket = COMMIT_BUCKETS_MS.findIndex(bound => ms <= bound)
    const index = bucket === -1 ? COMMIT_BUCKETS_MS.length : bucket
    this.buckets[index] = (this.buckets[index] ?? 0) + 1
  }
}
