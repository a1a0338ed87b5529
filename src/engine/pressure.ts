import type { Clock } from './clock.ts'

/** How often the disk is looked at, in ms. */
const DISK_EVERY_MS = 1_000
/** The same near the mark, so that a fast publisher does not run far beyond it. */
const NEAR_EVERY_MS = 50
/** Near: less than so many times the mark is free. */
const NEAR = 4
/** Publishing goes on once there is this much more than the mark. */
const HYSTERESIS = 1.1

export interface DiskSpace {
  readonly freeBytes: number
  readonly totalBytes: number
  /** What we have taken and can use again. Default 0. */
  readonly spareBytes?: number
}

/** When publishers must stop: too little free disk, so that acks can still be written (R5). */
export class Pressure {
  on = false
  reason = ''
  readonly #clock: Clock
  readonly #space: (() => Promise<DiskSpace>) | undefined
  readonly #freeMin: number | undefined
  readonly #listeners: ((on: boolean, reason: string) => void)[] = []
  #cancel: (() => void) | undefined
  #isStopped = false
  #isHeld = false

  /**
   * @param space absent: nothing is written, and nothing can fill up
   * @param freeMin bytes; default the larger of 5 % and 512 MiB
   */
  constructor(clock: Clock, space?: () => Promise<DiskSpace>, freeMin?: number) {
    this.#clock = clock
    this.#space = space
    this.#freeMin = freeMin
  }

  onChange(listener: (on: boolean, reason: string) => void): void {
    this.#listeners.push(listener)
  }

  /** Looks at the disk now, and then again and again until `stop`, also after a look that failed. */
  async watch(): Promise<void> {
    if (this.#space === undefined) return
    let everyMs = DISK_EVERY_MS
    try {
      everyMs = this.#judge(await this.#space())
    } catch (error) {
      this.#set(true, `free disk space cannot be read: ${String(error)}`)
    }
    if (this.#isStopped) return
    this.#cancel = this.#clock.at(this.#clock.now() + everyMs, () => void this.watch())
  }

  /** @returns when to look again, in ms */
  #judge({ freeBytes, totalBytes, spareBytes = 0 }: DiskSpace): number {
    const mark = this.#freeMin ?? Math.max(totalBytes * 0.05, 512 * 1024 * 1024)
    // A file that never gets smaller would stop publishing for good once it has grown to the mark. But what is spare in
    // it may be too scattered for large bodies, so half of the mark is never touched.
    const usableBytes = freeBytes < mark / 2 ? freeBytes : freeBytes + spareBytes
    const isLow = usableBytes < (this.on ? mark * HYSTERESIS : mark)
    this.#set(
      isLow,
      isLow ? `only ${mebibytes(freeBytes)} MiB of disk are free, and disk_free_min is ${mebibytes(mark)} MiB` : '',
    )
    return usableBytes < mark * NEAR ? NEAR_EVERY_MS : DISK_EVERY_MS
  }

  stop(): void {
    this.#isStopped = true
    this.#cancel?.()
  }

  /** For the rest of the life of the server: publishers stop, whatever the disk says. */
  hold(reason: string): void {
    this.stop()
    this.#isHeld = true
    this.on = true
    this.reason = reason
    for (const listener of this.#listeners) listener(true, reason)
  }

  #set(on: boolean, reason: string): void {
    if (this.#isHeld) return
    const changed = on !== this.on
    this.on = on
    this.reason = reason
    if (changed) for (const listener of this.#listeners) listener(on, reason)
  }
}

function mebibytes(bytes: number): number {
  return Math.floor(bytes / 1024 / 1024)
}
