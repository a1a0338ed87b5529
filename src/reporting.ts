import type { Engine } from './engine/engine.ts'
import { figuresOf } from './engine/figures.ts'
import { COMMIT_BUCKETS_MS, type CommitFigures } from './journal/commit-figures.ts'
import type { Journal } from './journal/journal.ts'
import { bytesIn, spaceOf } from './observe/folder.ts'
import { LoopDelay } from './observe/loop-delay.ts'
import { METRICS_TYPE, metricsText, type Snapshot } from './observe/metrics.ts'

/** A file may go while it is looked at; then the figure is missing this once. */
const UNKNOWN = 0

interface Parts {
  readonly engine: Engine
  readonly journal: Journal
  readonly commits: CommitFigures
  readonly version: string
  /** Absent: nothing is written to disk. */
  readonly folder: string | undefined
  /** Most queues that the metrics name. */
  readonly queuesMax: number
  /** Requests of webhooks, by their queue. */
  readonly webhooks: () => Snapshot['webhooks']
  /** Of all quotas of tokens the one that is used most, as a share. */
  readonly fullestQuota: () => number
  /** Limits in force beside the engine's, by the names of their settings. */
  readonly limits: Readonly<Record<string, number>>
}

/** What operators and their programs are told of a running server. */
export class Reporting {
  readonly contentType: string = METRICS_TYPE
  readonly #parts: Parts
  readonly #loopDelay: LoopDelay = new LoopDelay()
  readonly #startedAt: number

  constructor(parts: Parts) {
    this.#parts = parts
    this.#startedAt = parts.engine.clock.now()
  }

  /** @param streams event streams open */
  async metrics(streams: number): Promise<string> {
    const { engine, journal, commits, version, queuesMax, webhooks, fullestQuota } = this.#parts
    const { rss, heapUsed, external } = process.memoryUsage()
    const { user, system } = process.cpuUsage()
    return metricsText({
      ...figuresOf(engine, queuesMax),
      version,
      startedAt: this.#startedAt,
      streams,
      webhooks: webhooks(),
      fullestQuota: fullestQuota(),
      isPublishingStopped: engine.pressure.on,
      bodiesBytes: journal.memoryBytes,
      commits: {
        count: commits.count,
        failed: commits.failed,
        sumMs: commits.sumMs,
        buckets: commits.buckets,
        boundsMs: COMMIT_BUCKETS_MS,
      },
      disk: await this.#disk(),
      loopDelayMs: this.#loopDelay.read(),
      residentBytes: rss,
      heapBytes: heapUsed,
      externalBytes: external,
      cpuSeconds: (user + system) / 1e6,
    })
  }

  /** For `GET /v1/server`. No path, no name of a queue, no secret. */
  async facts(): Promise<object> {
    const { engine, journal, commits, limits } = this.#parts
    const now = engine.clock.now()
    const { rss, heapUsed, external } = process.memoryUsage()
    const disk = await this.#disk()
    return {
      started_at: new Date(this.#startedAt).toISOString(),
      uptime_ms: now - this.#startedAt,
      limits,
      memory: {
        resident_bytes: rss,
        heap_used_bytes: heapUsed,
        external_bytes: external,
        bodies_bytes: journal.memoryBytes,
      },
      disk: disk && { free_bytes: disk.freeBytes, size_bytes: disk.totalBytes, data_bytes: disk.dataBytes },
      commits: {
        count: commits.count,
        failed: commits.failed,
        mean_ms: commits.count === 0 ? 0 : commits.sumMs / commits.count,
        last_ms: commits.lastMs,
        oldest_pending_ms: engine.tally.unflushedMs(now),
      },
    }
  }

  stop(): void {
    this.#loopDelay.stop()
  }

  async #disk(): Promise<{ freeBytes: number; totalBytes: number; dataBytes: number } | undefined> {
    const { folder } = this.#parts
    if (folder === undefined) return undefined
    const [space, dataBytes] = await Promise.all([spaceOf(folder), bytesIn(folder).catch(() => UNKNOWN)])
    return { ...space, dataBytes }
  }
}
