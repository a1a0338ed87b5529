/*
 * What the server counts, in the text format of Prometheus 0.0.4: names end in their unit, what only rises in `_total`,
 * times are in seconds and sizes in bytes.
 */

/** What the server knows of itself at this moment. Times in ms, sizes in bytes. */
export interface Snapshot {
  readonly version: string
  readonly startedAt: number
  readonly totals: {
    readonly confirmed: number
    readonly delivered: number
    readonly redelivered: number
    readonly settled: Readonly<Record<string, number>>
    readonly requeued: number
    readonly leasesLost: number
    readonly released: Readonly<Record<string, number>>
    readonly refused: ReadonlyMap<string, number>
  }
  readonly queues: ReadonlyMap<string, QueueSnapshot>
  readonly others: QueueSnapshot
  readonly othersCount: number
  readonly subscriptions: number
  readonly connections: ReadonlyMap<string, number>
  readonly bufferedBytes: number
  readonly streams: number
  /** By queue; as many as the configuration has. */
  readonly webhooks: ReadonlyMap<
    string,
    { readonly delivered: number; readonly failed: Readonly<Record<string, number>> }
  >
  /** 1: a token has as much stored as it may. */
  readonly fullestQuota: number
  readonly watchers: number
  readonly unflushedMs: number
  readonly isPublishingStopped: boolean
  readonly bodiesBytes: number
  readonly commits: {
    readonly count: number
    readonly failed: number
    readonly sumMs: number
    readonly buckets: readonly number[]
    readonly boundsMs: readonly number[]
  }
  /** Absent where nothing is written to disk. */
  readonly disk: { readonly freeBytes: number; readonly totalBytes: number; readonly dataBytes: number } | undefined
  /** By quantile. */
  readonly loopDelayMs: ReadonlyMap<string, number>
  readonly residentBytes: number
  readonly heapBytes: number
  readonly externalBytes: number
  readonly cpuSeconds: number
}

interface QueueSnapshot {
  readonly ready: number
  readonly leased: number
  readonly delayed: number
  readonly bytes: number
  readonly subscriptions: number
  readonly barriersWaiting: number
  readonly oldestBarrierMs: number
  readonly heldMs: number
}

export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** Stands for all queues that are not named; no queue can be called so. */
const OTHERS = '$others'

type Labels = Readonly<Record<string, string>>
type Samples = Iterable<readonly [value: number, labels?: Labels]>

/** One metric: what it is, and what it says now. */
interface Metric {
  readonly name: string
  readonly type: 'counter' | 'gauge'
  readonly help: string
  readonly samples: (now: Snapshot) => Samples
}

const METRICS: readonly Metric[] = [
  gauge('sluice_build_info', 'Always 1; the version is its label', ({ version }) => [[1, { version }]]),
  gauge('process_start_time_seconds', 'When the server started, since the epoch', now => [[now.startedAt / 1_000]]),

  counter('sluice_messages_confirmed_total', 'Messages published that are on disk', now => [[now.totals.confirmed]]),
  counter('sluice_messages_refused_total', 'Messages published that were not taken, by code', now =>
    labelled('reason', now.totals.refused),
  ),
  counter('sluice_messages_delivered_total', 'Deliveries of messages, again ones too', now => [[now.totals.delivered]]),
  counter('sluice_messages_redelivered_total', 'Deliveries of messages that had, or may have, been delivered', now => [
    [now.totals.redelivered],
  ]),
  counter('sluice_messages_settled_total', 'Messages whose stay has ended, by how', now =>
    labelled('reason', Object.entries(now.totals.settled)),
  ),
  counter('sluice_messages_requeued_total', 'Dead letters put back', now => [[now.totals.requeued]]),
  counter('sluice_leases_lost_total', 'Leases that ended without a settle', now => [[now.totals.leasesLost]]),
  counter('sluice_barriers_released_total', 'Barriers released, by outcome', now =>
    labelled('outcome', Object.entries(now.totals.released)),
  ),

  counter('sluice_commits_failed_total', 'Commits that did not reach the disk: the server stops', now => [
    [now.commits.failed],
  ]),
  gauge('sluice_commit_oldest_pending_seconds', 'Age of the oldest change that is not on disk', now => [
    [now.unflushedMs / 1_000],
  ]),

  gauge('sluice_queues', 'Queues', now => [[now.queues.size + now.othersCount]]),
  gauge('sluice_queue_messages', 'Live messages, by queue and state', now =>
    eachQueue(now, ({ ready, leased, delayed }) => [
      [ready, { state: 'ready' }],
      [leased, { state: 'leased' }],
      [delayed, { state: 'delayed' }],
    ]),
  ),
  gauge('sluice_queue_bytes', 'Bytes of the bodies of live messages', now => eachQueue(now, queue => [[queue.bytes]])),
  gauge('sluice_queue_subscriptions', 'Subscriptions', now => eachQueue(now, queue => [[queue.subscriptions]])),
  gauge('sluice_queue_barriers_waiting', 'Barriers that wait', now =>
    eachQueue(now, queue => [[queue.barriersWaiting]]),
  ),
  gauge('sluice_queue_barrier_oldest_seconds', 'Age of the barrier that waits longest; 0 of none', now =>
    eachQueue(now, queue => [[queue.oldestBarrierMs / 1_000]]),
  ),
  gauge(
    'sluice_queue_barrier_held_seconds',
    'How long nothing before that barrier has been settled: a batch that is stuck',
    now => eachQueue(now, queue => [[queue.heldMs / 1_000]]),
  ),

  counter('sluice_webhook_delivered_total', 'Messages that a webhook has taken, by its queue', now =>
    [...now.webhooks].map(([queue, { delivered }]) => [delivered, { queue }]),
  ),
  counter('sluice_webhook_failed_total', 'Requests of a webhook that failed, by its queue and why', now =>
    [...now.webhooks].flatMap(([queue, { failed }]) =>
      Object.entries(failed).map(([reason, count]): [number, Labels] => [count, { queue, reason }]),
    ),
  ),

  gauge('sluice_connections', 'Clients connected, by protocol', now => labelled('protocol', now.connections)),
  gauge('sluice_subscriptions', 'Subscriptions of all queues', now => [[now.subscriptions]]),
  gauge('sluice_event_streams', 'Event streams open', now => [[now.streams]]),
  gauge('sluice_watchers', 'Event streams that get copies of deliveries', now => [[now.watchers]]),
  gauge('sluice_send_buffer_bytes', 'Bytes that the sockets of clients have not taken yet', now => [
    [now.bufferedBytes],
  ]),

  gauge('sluice_publishing_stopped', '1 while nothing is taken because the disk is nearly full', now => [
    [now.isPublishingStopped ? 1 : 0],
  ]),
  gauge(
    'sluice_token_quota_used_ratio',
    'Of the quota of a token that is used most: what is stored, by what may be',
    now => [[now.fullestQuota]],
  ),
  gauge('sluice_disk_free_bytes', 'Free bytes where the data are', ({ disk }) => (disk ? [[disk.freeBytes]] : [])),
  gauge('sluice_disk_size_bytes', 'Size of the disk where the data are', ({ disk }) =>
    disk ? [[disk.totalBytes]] : [],
  ),
  gauge('sluice_data_bytes', 'What the data folder takes on disk', ({ disk }) => (disk ? [[disk.dataBytes]] : [])),

  gauge('sluice_bodies_memory_bytes', 'Bodies of messages in memory', now => [[now.bodiesBytes]]),
  gauge('sluice_event_loop_delay_seconds', 'How late timers were over the last seconds, by quantile', now =>
    labelled(
      'quantile',
      [...now.loopDelayMs].map(([quantile, ms]) => [quantile, ms / 1_000]),
    ),
  ),
  gauge('process_resident_memory_bytes', 'Memory of the process', now => [[now.residentBytes]]),
  gauge('nodejs_heap_size_used_bytes', 'Memory of objects', now => [[now.heapBytes]]),
  gauge('nodejs_external_memory_bytes', 'Memory of buffers', now => [[now.externalBytes]]),
  counter('process_cpu_seconds_total', 'CPU time of the process, user and system', now => [[now.cpuSeconds]]),
]

const COMMIT_DURATION = 'sluice_commit_duration_seconds'

export function metricsText(now: Snapshot): string {
  const lines: string[] = []
  for (const { name, type, help, samples } of METRICS) {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`)
    for (const [value, labels] of samples(now)) lines.push(sample(name, value, labels))
  }
  return `${[...lines, ...commitDurations(now)].join('\n')}\n`
}

/** A histogram: each bucket counts all up to its bound. */
function commitDurations({ commits }: Snapshot): string[] {
  const { boundsMs, buckets, count, sumMs } = commits
  let upTo = 0
  const counted = boundsMs.map((bound, index) => {
    upTo += buckets[index] ?? 0
    return sample(`${COMMIT_DURATION}_bucket`, upTo, { le: `${bound / 1_000}` })
  })
  return [
    `# HELP ${COMMIT_DURATION} How long writes to disk took`,
    `# TYPE ${COMMIT_DURATION} histogram`,
    ...counted,
    sample(`${COMMIT_DURATION}_bucket`, count, { le: '+Inf' }),
    sample(`${COMMIT_DURATION}_sum`, sumMs / 1_000),
    sample(`${COMMIT_DURATION}_count`, count),
  ]
}

function counter(name: string, help: string, samples: Metric['samples']): Metric {
  return { name, type: 'counter', help, samples }
}

function gauge(name: string, help: string, samples: Metric['samples']): Metric {
  return { name, type: 'gauge', help, samples }
}

function* labelled(label: string, values: Iterable<readonly [string, number]>): Samples {
  for (const [name, value] of values) yield [value, { [label]: name.replaceAll('-', '_') }]
}

function* eachQueue(now: Snapshot, read: (queue: QueueSnapshot) => Samples): Samples {
  for (const [queue, figures] of now.queues)
    for (const [value, labels] of read(figures)) yield [value, { queue, ...labels }]
  if (now.othersCount === 0) return
  for (const [value, labels] of read(now.others)) yield [value, { queue: OTHERS, ...labels }]
}

function sample(name: string, value: number, labels: Labels = {}): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(text)}"`)
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${value}`
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
