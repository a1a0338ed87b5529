import { connect, type Message } from '@sluice/client'
import { HistoryChecker, HistoryRecorder, reportAsText } from '../support/history/history.ts'
import { passed, percentile, until } from './server.ts'

/*
 * The process behind `Steady`:
 *
 *   fork('steady-load.ts', ['{"url":"ws://…","perSecond":200}'])
 *
 * It says `ready` once messages flow, and answers what it is asked until it is stopped.
 */

export interface SteadyOptions {
  readonly url: string
  readonly perSecond: number
}

/** Of messages, from the call of `publish` to the consumer, in ms. */
export interface Latencies {
  readonly p50: number
  readonly p99: number
  readonly max: number
  readonly count: number
}

export type Asked = 'begin' | 'figures' | 'stop'
export type Told =
  | { readonly kind: 'ready' }
  | { readonly kind: 'figures'; readonly latencies: Latencies }
  | { readonly kind: 'stopped'; readonly isValid: boolean; readonly report: string }

const QUEUE = 'steady'
/** Far fewer than one in a hundred: what is behind a barrier waits for it, and must not be the p99. */
const SECONDS_A_BATCH = 5
const DRAIN_MS = 10_000

interface Body {
  readonly id: number
  readonly at: number
}

const { url, perSecond } = JSON.parse(process.argv[2] as string) as SteadyOptions
const checker = new HistoryChecker({ fifoPublishers: true, sessionsAreTold: true })
const history = new HistoryRecorder(event => checker.take(event))
const latencies: number[] = []
const unsettled = new Set<Promise<void>>()
const waits: Promise<unknown>[] = []
const wrong: string[] = []
let isOver = false

const client = await connect(url, { name: 'steady' })
client.addEventListener('reconnecting', () => {
  wrong.push('its connection was lost')
  history.record({ type: 'disconnect', process: QUEUE })
})
client.addEventListener('reconnected', () => history.record({ type: 'subscribe', process: QUEUE, queue: QUEUE }))
const queue = client.queue<Body>(QUEUE)
await queue.declare()

function tracked(settling: Promise<void>): void {
  const noted = settling
    .catch((error: unknown) => void wrong.push(String(error)))
    .finally(() => unsettled.delete(noted))
  unsettled.add(noted)
}

async function publish(id: number): Promise<void> {
  history.record({ type: 'publish-invoke', process: QUEUE, queue: QUEUE, id })
  const { sequence } = await queue.publish({ id, at: performance.now() })
  history.record({ type: 'publish-ok', process: QUEUE, queue: QUEUE, id, seq: sequence, level: 'durable' })
}

async function barrier(name: string): Promise<void> {
  history.record({ type: 'barrier-publish-invoke', process: QUEUE, queue: QUEUE, id: name })
  const batch = await queue.barrier({ name })
  history.record({ type: 'barrier-publish-ok', process: QUEUE, queue: QUEUE, id: name })
  waits.push(batch.wait({ timeoutMs: 60_000 }).catch((error: unknown) => wrong.push(`barrier ${name}: ${error}`)))
}

async function ack(message: Message<Body>): Promise<void> {
  const { id } = message.body
  history.record({ type: 'ack-invoke', process: QUEUE, queue: QUEUE, id })
  const result = await message.ack({ durable: true })
  history.record({ type: result === 'lease-lost' ? 'ack-fail' : 'ack-ok', process: QUEUE, queue: QUEUE, id })
}

async function publishing(): Promise<void> {
  for (let id = 1; !isOver; id += 1) {
    tracked(publish(id))
    if (id % (perSecond * SECONDS_A_BATCH) === 0) tracked(barrier(`batch-${id}`))
    await passed(1_000 / perSecond)
  }
}

async function consuming(): Promise<void> {
  const subscription = queue.consume({ prefetch: 100 })
  history.record({ type: 'subscribe', process: QUEUE, queue: QUEUE })
  for await (const delivery of subscription) {
    const { sequence, batch } = delivery
    const place = { process: QUEUE, queue: QUEUE, seq: sequence, batch_number: batch }
    if (delivery.kind === 'barrier') {
      const { name, outcome, replayed } = delivery
      history.record({ ...place, type: 'barrier-deliver', id: name, outcome, replayed })
      continue
    }
    const { body, attempt, redelivered } = delivery
    latencies.push(performance.now() - body.at)
    history.record({ ...place, type: 'deliver', id: body.id, attempt, redelivered })
    tracked(ack(delivery))
  }
}

function figures(): Latencies {
  const sorted = latencies.toSorted((a, b) => a - b)
  return {
    p50: percentile(sorted, 0.5),
    p99: percentile(sorted, 0.99),
    max: sorted.at(-1) ?? Number.NaN,
    count: sorted.length,
  }
}

async function stop(): Promise<void> {
  isOver = true
  const isDrained = async () => {
    const { ready, leased } = await queue.show()
    return unsettled.size === 0 && ready + leased === 0
  }
  await until('the steady queue is empty', isDrained, DRAIN_MS).catch((error: unknown) => wrong.push(String(error)))
  await Promise.all(waits)
  history.record({ type: 'disconnect', process: QUEUE })
  await client.close()
  const judged = checker.finish()
  const report = [reportAsText(judged), ...wrong.slice(0, 20)].join('\n')
  tell({ kind: 'stopped', isValid: judged.verdict === 'pass' && wrong.length === 0, report })
  process.disconnect()
}

function tell(told: Told): void {
  process.send?.(told)
}

process.once('disconnect', () => process.exit())
process.on('message', (asked: Asked) => {
  if (asked === 'begin') latencies.length = 0
  else if (asked === 'figures') tell({ kind: 'figures', latencies: figures() })
  else void stop()
})
void consuming()
void publishing()
await until('messages flow', () => latencies.length > 0)
tell({ kind: 'ready' })
