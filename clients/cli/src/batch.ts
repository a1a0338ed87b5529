import type { BarrierOutcome, BatchHandle, BatchParties, BatchProgress, BatchRecord, BatchStats } from '@sluice/client'
import type { Step } from './bar.ts'
import { BATCH_LOST, DONE, INTERRUPTED, WITH_DEAD } from './exit.ts'
import { count, elapsed, rate } from './format.ts'
import type { Shell } from './io.ts'
import { bodyOf } from './lines.ts'

/** How the wait for a barrier ended; no record when it was interrupted. */
export interface Release {
  readonly record?: BatchRecord<Uint8Array>
  readonly exitCode: number
}

export interface WaitFor {
  readonly queue: string
  /** Name, or `@` and the sequence number. */
  readonly barrier: string
  readonly timeoutMs: number | undefined
  readonly signal: AbortSignal
}

const EVERY_OUTCOME: readonly BarrierOutcome[] = ['clean', 'with-dead', 'failed', 'cancelled', 'expired']

const PROGRESS_MS = 500

/** Waits for a barrier, showing how far its batch is, and says how it ended. */
export async function awaitRelease(shell: Shell, batch: BatchHandle<Uint8Array>, what: WaitFor): Promise<Release> {
  const startedMs = performance.now()
  let latest: BatchProgress | undefined
  const finish = shell.talk.progress(() => processingStep(latest, performance.now() - startedMs))
  try {
    const record = await batch.wait({
      accept: EVERY_OUTCOME,
      signal: what.signal,
      ...(what.timeoutMs === undefined ? {} : { timeoutMs: what.timeoutMs }),
      progressMs: PROGRESS_MS,
      onProgress: progress => {
        latest = progress
      },
    })
    latest = finished(record)
    finish()
    sayReleased(shell, what, record, performance.now() - startedMs)
    return { record, exitCode: exitCodeOf(record.outcome) }
  } catch (error) {
    finish()
    if (!what.signal.aborted) throw error
    shell.talk.warn(`interrupted; the batch goes on: sluice wait ${what.queue} ${what.barrier}`)
    return { exitCode: INTERRUPTED }
  }
}

export function exitCodeOf(outcome: BarrierOutcome): number {
  if (outcome === 'clean') return DONE
  return outcome === 'with-dead' ? WITH_DEAD : BATCH_LOST
}

function sayReleased(
  shell: Shell,
  what: { readonly barrier: string },
  record: BatchRecord<Uint8Array>,
  waitedMs: number,
): void {
  const { acked, dead, expired, dropped, carried } = record.stats
  const parts = [
    `${what.barrier} released after ${elapsed(waitedMs)}`,
    `outcome ${record.outcome}`,
    [
      `${count(acked)} acked`,
      ...some(dead, 'dead'),
      ...some(expired, 'expired'),
      ...some(dropped, 'dropped'),
      ...some(carried, 'carried'),
    ].join(', '),
  ]
  const say = { [DONE]: 'done', [WITH_DEAD]: 'warn' } as const
  shell.talk[say[exitCodeOf(record.outcome) as 0 | 7] ?? 'failed'](parts.join('   '))
}

function some(value: number, what: string): string[] {
  return value === 0 ? [] : [`${count(value)} ${what}`]
}

/** A record as HTTP shows it. */
export function recordDocument(record: BatchRecord<Uint8Array>): Readonly<Record<string, unknown>> {
  const { name, sequence, batch, outcome, stats, publishedAt, releasedAt, body, batches, parties } = record
  return {
    name,
    sequence,
    batch,
    outcome,
    stats: statsDocument(stats),
    published_at: time(publishedAt),
    released_at: time(releasedAt),
    batches: batches?.map(({ stats, ...one }) => ({ ...one, stats: stats && statsDocument(stats) })),
    parties: parties && partiesDocument(parties),
    ...(body === undefined ? {} : bodyOf(body)),
  }
}

function statsDocument({ firstPublishedAt, lastSettledAt, ...counts }: BatchStats): Readonly<Record<string, unknown>> {
  return { ...counts, first_published_at: time(firstPublishedAt), last_settled_at: time(lastSettledAt) }
}

function partiesDocument({ count, arrived }: BatchParties<Uint8Array>): Readonly<Record<string, unknown>> {
  return {
    count,
    missing: Math.max(0, count - arrived.length),
    arrived: arrived.map(({ name }) => name),
    messages: arrived.map(({ name, body }) => ({ party: name, ...(body === undefined ? {} : bodyOf(body)) })),
  }
}

function time(at: number | undefined): string | undefined {
  return at === undefined ? undefined : new Date(at).toISOString()
}

/** How it looks when all is settled; the rate is that of the whole batch. */
function finished({ stats, releasedAt }: BatchRecord<Uint8Array>): BatchProgress {
  const { published, acked, dead, expired, dropped, firstPublishedAt } = stats
  const lastedMs = releasedAt - (firstPublishedAt ?? releasedAt)
  return {
    published,
    acked,
    dead: dead + expired + dropped,
    leased: 0,
    ready: 0,
    delayed: 0,
    ratePerSecond: lastedMs === 0 ? 0 : (acked * 1_000) / lastedMs,
  }
}

function processingStep(progress: BatchProgress | undefined, waitedMs: number): Step {
  if (progress === undefined) {
    return {
      label: 'process',
      parts: [elapsed(waitedMs)],
      report: { phase: 'process', elapsed_ms: Math.round(waitedMs) },
    }
  }
  const { published, acked, leased, ready, delayed, dead, ratePerSecond, etaMs } = progress
  const settled = acked + dead
  return {
    label: 'process',
    fraction: published === 0 ? 1 : settled / published,
    parts: [
      `${count(settled)} / ${count(published)}`,
      rate(ratePerSecond ?? 0),
      `in flight ${count(leased)}`,
      ...(delayed === 0 ? [] : [`retrying ${count(delayed)}`]),
      ...(dead === 0 ? [] : [`dead ${count(dead)}`]),
      etaMs === undefined || settled === published ? elapsed(waitedMs) : `ETA ${elapsed(etaMs)}`,
    ],
    report: {
      phase: 'process',
      published,
      acked,
      leased,
      ready,
      delayed,
      dead,
      rate_per_second: ratePerSecond ?? null,
      eta_ms: etaMs ?? null,
      elapsed_ms: Math.round(waitedMs),
    },
  }
}

/** A barrier that is asked for beside other work. */
export interface Watch extends Disposable {
  readonly name: string
  /** Resolves when it is released, whatever its outcome. */
  readonly released: Promise<BatchRecord<Uint8Array>>
}

export function watchOf(batch: BatchHandle<Uint8Array>): Watch {
  const stop = new AbortController()
  const released = batch.wait({ accept: EVERY_OUTCOME, signal: stop.signal })
  // Whoever is interested meets its failure; nobody may be.
  released.catch(() => {})
  return { name: batch.name, released, [Symbol.dispose]: () => stop.abort() }
}
