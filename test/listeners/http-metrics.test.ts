import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import type { ServerConfig } from '../../src/config/config.ts'
import { realClock } from '../../src/engine/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import { Pressure } from '../../src/engine/pressure.ts'
import { CommitFigures } from '../../src/journal/commit-figures.ts'
import { memoryJournal } from '../../src/journal/memory.ts'
import { silentLog } from '../../src/observe/log.ts'
import { startServer } from '../../src/server.ts'
import { openEvents } from './event-source.ts'

/*
 * What a server says of itself: its metrics, the page and the dashboard about them, and the facts of /v1/server.
 */

interface Started {
  readonly port: number
  call(method: string, path: string, body?: string | object, headers?: Record<string, string>): Promise<Answer>
  metrics(): Promise<Metrics>
}

interface Answer {
  readonly status: number
  readonly type: string | undefined
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: what a test says about an answer is checked by the test
  readonly json: any
}

interface Metrics {
  /** By name, as `# TYPE` says. */
  readonly types: ReadonlyMap<string, string>
  /** By name and labels, as they stand. */
  readonly samples: ReadonlyMap<string, number>
}

async function start(given: Partial<ServerConfig> = {}): Promise<Started> {
  const data = mkdtempSync(path.join(tmpdir(), 'sluice-metrics-'))
  onTestFinished(() => rmSync(data, { recursive: true, force: true }))
  const config: ServerConfig = {
    data,
    memory: false,
    listen: { host: '127.0.0.1', port: 0 },
    auth: 'none',
    allowUnauthenticatedNetwork: false,
    messageMax: 2 ** 20,
    memoryMax: 2 ** 24,
    autoCreate: false,
    heartbeatMs: 20_000,
    connectionsMax: 100,
    connectionsPerAddress: 50,
    queuesMax: 60,
    pullsMax: 70,
    streamsMax: 7,
    metricsQueuesMax: 200,
    tracing: 'off',
    drainMs: 1_000,
    queues: [],
    ...given,
  }
  const server = await startServer(config, { log: silentLog })
  onTestFinished(() => server.close())
  const port = Number(new URL(server.url).port)
  const call: Started['call'] = (method, at, body, headers = {}) => {
    const sent = typeof body === 'object' ? JSON.stringify(body) : body
    return new Promise((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port, method, path: at, headers }, response => {
        const chunks: Buffer[] = []
        response.on('data', chunk => chunks.push(chunk))
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString()
          const type = response.headers['content-type']
          const json = type?.includes('json') === true ? JSON.parse(text) : undefined
          resolve({ status: response.statusCode ?? 0, type, text, json })
        })
      })
      asked.on('error', reject)
      asked.end(sent)
    })
  }
  return { port, call, metrics: async () => parse((await call('GET', '/metrics')).text) }
}

/** Strict: every line is one that the format has, and stands under its metric. */
function parse(text: string): Metrics {
  const types = new Map<string, string>()
  const samples = new Map<string, number>()
  const helped = new Set<string>()
  let current = ''
  expect(text.endsWith('\n')).toBe(true)
  for (const line of text.slice(0, -1).split('\n')) {
    const [, comment, about, rest] = /^# (HELP|TYPE) ([a-z_][a-z0-9_]*) (.+)$/.exec(line) ?? []
    if (comment === 'HELP') {
      expect(helped, line).not.toContain(about)
      helped.add(about!)
    } else if (comment === 'TYPE') {
      expect(helped, line).toContain(about)
      current = about!
      types.set(current, rest!)
    } else {
      const label = '[a-z_]+="(?:[^"\\\\\\n]|\\\\[\\\\"n])*"'
      const [, name, labels = '', value] =
        new RegExp(`^([a-z_][a-z0-9_]*)(\\{${label}(?:,${label})*\\})? (-?[0-9.e+-]+)$`).exec(line) ?? []
      expect(name, line).toBeDefined()
      const suffix = types.get(current) === 'histogram' ? '(?:_bucket|_sum|_count)' : ''
      expect(name, line).toMatch(new RegExp(`^${current}${suffix}$`))
      expect(samples, line).not.toContain(name + labels)
      expect(Number.isFinite(Number(value)), line).toBe(true)
      samples.set(name + labels, Number(value))
    }
  }
  return { types, samples }
}

/** Calls until the figures are so: some are counted when the disk has them. */
async function metricsOnce(server: Started, isSo: (samples: Metrics['samples']) => boolean): Promise<Metrics> {
  for (;;) {
    const metrics = await server.metrics()
    if (isSo(metrics.samples)) return metrics
  }
}

const DOCS = path.join(import.meta.dirname, '../../docs')

test('docs/metrics.md names all metrics with their types, and no others', async () => {
  const server = await start()
  const { types } = await server.metrics()
  const page = readFileSync(path.join(DOCS, 'metrics.md'), 'utf8')
  const rows = [...page.matchAll(/^\| `([a-z_]+)` +\| (counter|gauge|histogram) +\|/gm)]
  const documented = new Map(rows.map(([, name, type]) => [name!, type!]))
  expect([...documented].sort()).toEqual([...types].sort())
})

test('names follow the conventions: a known prefix, what only rises ends in _total', async () => {
  const server = await start()
  const { types } = await server.metrics()
  for (const [name, type] of types) {
    expect(name).toMatch(/^(?:sluice|process|nodejs)_/)
    expect(name.endsWith('_total'), name).toBe(type === 'counter')
    expect(name).not.toMatch(/_(?:ms|milliseconds|mb|kb)\b/)
  }
})

test('the Grafana dashboard asks for nothing that is not there', async () => {
  const server = await start()
  const { types } = await server.metrics()
  const dashboard = JSON.parse(readFileSync(path.join(DOCS, 'grafana.json'), 'utf8'))
  const queries: string[] = [
    ...dashboard.templating.list.map(({ query }: { query: string }) => query),
    ...dashboard.panels.flatMap(({ targets }: { targets: { expr: string }[] }) => targets.map(({ expr }) => expr)),
  ]
  const asked = new Set(queries.flatMap(query => query.match(/\b(?:sluice|process|nodejs)_[a-z_]+/g) ?? []))
  expect(asked.size).toBeGreaterThan(20)
  const known = new Set([...types.keys(), 'sluice_commit_duration_seconds_bucket'])
  for (const name of asked) expect(known, name).toContain(name)
})

test('what happens to messages is counted: confirmed, refused, delivered, redelivered, settled, requeued', async () => {
  const server = await start()
  await server.call('PUT', '/v1/queues/Q', { messages_max: 5 })
  await server.call('PUT', '/v1/queues/Q.dead')
  const lines = Array.from({ length: 7 }, (_, k) => `{"n":${k}}`).join('\n')
  const ndjson = { 'content-type': 'application/x-ndjson' }
  expect((await server.call('POST', '/v1/queues/Q/messages', lines, ndjson)).status).toBe(422)
  const pull = async (max: number) => (await server.call('POST', `/v1/queues/Q/deliveries?max=${max}`)).json.deliveries
  const settle = (how: string, deliveries: { sequence: number; lease_token: string }[]) =>
    server.call('POST', `/v1/queues/Q/${how}`, {
      deliveries: deliveries.map(({ sequence, lease_token }) => ({ sequence, lease_token })),
    })
  await settle('nacks', await pull(1))
  const deliveries = await pull(5)
  await settle('acks', deliveries.slice(0, 2))
  await settle('rejects', deliveries.slice(2, 4))
  await server.call('POST', '/v1/queues/Q/dead/requeue?filter=%2Fn%20%3D%202')
  await server.call('DELETE', '/v1/queues/Q/messages')
  await server.call('POST', '/v1/queues/none/messages', '1\n2\n3\n', ndjson)
  await server.call('POST', '/v1/queues/Q/barriers?name=eof', '{}')
  const { samples } = await metricsOnce(server, now => now.get('sluice_barriers_released_total{outcome="clean"}') === 0)
  const counted = [...samples].filter(([name]) => /^sluice_(?:messages|leases|barriers)_/.test(name))
  expect(Object.fromEntries(counted)).toEqual({
    sluice_messages_confirmed_total: 5,
    'sluice_messages_refused_total{reason="queue_full"}': 2,
    'sluice_messages_refused_total{reason="no_such_queue"}': 3,
    sluice_messages_delivered_total: 6,
    sluice_messages_redelivered_total: 1,
    'sluice_messages_settled_total{reason="acked"}': 2,
    'sluice_messages_settled_total{reason="expired"}': 0,
    'sluice_messages_settled_total{reason="dead_lettered"}': 2,
    'sluice_messages_settled_total{reason="dropped"}': 0,
    'sluice_messages_settled_total{reason="purged"}': 1,
    sluice_messages_requeued_total: 1,
    sluice_leases_lost_total: 0,
    'sluice_barriers_released_total{outcome="clean"}': 0,
    'sluice_barriers_released_total{outcome="with_dead"}': 0,
    'sluice_barriers_released_total{outcome="expired"}': 0,
    'sluice_barriers_released_total{outcome="cancelled"}': 0,
    'sluice_barriers_released_total{outcome="failed"}': 0,
  })
})

test('leases that run out are counted', async () => {
  const server = await start()
  await server.call('PUT', '/v1/queues/Q')
  await server.call('POST', '/v1/queues/Q/messages', 'a')
  await server.call('POST', '/v1/queues/Q/messages', 'b')
  await server.call('POST', '/v1/queues/Q/deliveries?max=2&lease=1ms')
  await metricsOnce(server, now => now.get('sluice_leases_lost_total') === 2)
})

test('a queue shows its depth by state, and how long its barrier has waited and been held', async () => {
  const server = await start()
  await server.call('PUT', '/v1/queues/Q')
  for (let k = 0; k < 3; k += 1) await server.call('POST', '/v1/queues/Q/messages', 'body')
  await server.call('POST', '/v1/queues/Q/messages', 'later', { 'sluice-delay': '1h' })
  await server.call('POST', '/v1/queues/Q/deliveries?max=1')
  await server.call('POST', '/v1/queues/Q/barriers?name=eof', '{}')
  const { samples } = await metricsOnce(
    server,
    now => (now.get('sluice_queue_barrier_held_seconds{queue="Q"}') ?? 0) > 0.01,
  )
  const of = (name: string, labels = 'queue="Q"') => samples.get(`${name}{${labels}}`)
  expect(of('sluice_queue_messages', 'queue="Q",state="ready"')).toBe(2)
  expect(of('sluice_queue_messages', 'queue="Q",state="leased"')).toBe(1)
  expect(of('sluice_queue_messages', 'queue="Q",state="delayed"')).toBe(1)
  expect(of('sluice_queue_bytes')).toBe(17)
  expect(of('sluice_queue_barriers_waiting')).toBe(1)
  expect(of('sluice_queue_barrier_oldest_seconds')).toBeGreaterThanOrEqual(of('sluice_queue_barrier_held_seconds')!)
})

test('R9: so many queues are named as the setting says, the others are added up', async () => {
  const server = await start({ metricsQueuesMax: 2 })
  for (const name of ['A', 'B', 'C', 'D']) {
    await server.call('PUT', `/v1/queues/${name}`)
    await server.call('POST', `/v1/queues/${name}/messages`, '12345')
  }
  const { samples } = await server.metrics()
  expect([...samples].filter(([name]) => name.startsWith('sluice_queue_bytes'))).toEqual([
    ['sluice_queue_bytes{queue="A"}', 5],
    ['sluice_queue_bytes{queue="B"}', 5],
    ['sluice_queue_bytes{queue="$others"}', 10],
  ])
  expect(samples.get('sluice_queues')).toBe(4)
})

test('a name that would break the format is escaped', async () => {
  const server = await start()
  const name = 'a"b\\c'
  expect((await server.call('PUT', `/v1/queues/${encodeURIComponent(name)}`)).status).toBe(201)
  const { samples } = await server.metrics()
  expect(samples.get('sluice_queue_bytes{queue="a\\"b\\\\c"}')).toBe(0)
})

test('commits are timed, and those that fail are counted', async () => {
  const server = await start()
  await server.call('PUT', '/v1/queues/Q')
  await server.call('POST', '/v1/queues/Q/messages', 'body')
  const { samples } = await server.metrics()
  const count = samples.get('sluice_commit_duration_seconds_count')!
  expect(count).toBeGreaterThanOrEqual(3)
  expect(samples.get('sluice_commit_duration_seconds_sum')).toBeGreaterThan(0)
  const buckets = [...samples].filter(([name]) => name.includes('_bucket')).map(([, value]) => value)
  expect(buckets.at(-1)).toBe(count)
  expect([...buckets].sort((a, b) => a - b)).toEqual(buckets)

  const figures = new CommitFigures()
  const journal = memoryJournal({ manual: true, figures })
  const clock = realClock()
  const failures: unknown[] = []
  const engine = new Engine({
    journal,
    clock,
    messageMax: 1024,
    frameMessagesMax: 10,
    autoCreate: false,
    pressure: new Pressure(clock),
    onFatal: reason => failures.push(reason),
  })
  await engine.open()
  const { count: before } = figures
  engine.declare('Q', {})
  journal.commitAll()
  expect([figures.count - before, figures.failed]).toEqual([1, 0])
  engine.declare('R', {})
  journal.fail()
  expect([figures.count - before, figures.failed, failures.length]).toEqual([1, 1, 1])
})

test('clients, streams, disk and process are there', async () => {
  const server = await start()
  await server.call('PUT', '/v1/queues/Q')
  const events = await openEvents(server.port, '/v1/queues/Q/events?watch=true')
  await events.next('position')
  const { samples } = await server.metrics()
  const value = (name: string) => samples.get(name) ?? Number.NaN
  expect(value('sluice_event_streams')).toBe(1)
  expect(value('sluice_watchers')).toBe(1)
  expect(value('sluice_connections{protocol="http"}')).toBeGreaterThan(0)
  expect(value('sluice_disk_free_bytes')).toBeGreaterThan(0)
  expect(value('sluice_data_bytes')).toBeGreaterThan(0)
  expect(value('sluice_event_loop_delay_seconds{quantile="1"}')).toBeGreaterThanOrEqual(0)
  expect(value('process_resident_memory_bytes')).toBeGreaterThan(1e6)
  expect(value('sluice_publishing_stopped')).toBe(0)
})

test('/v1/server tells start, limits in force, memory, disk and commits, and no secret or path', async () => {
  const server = await start()
  const { json, text } = await server.call('GET', '/v1/server')
  expect(json).toEqual({
    name: 'sluice',
    version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    protocol_version: expect.any(Number),
    start: 1,
    publishing: 'open',
    started_at: expect.stringMatching(/^\d{4}-/),
    uptime_ms: expect.any(Number),
    limits: {
      message_max: 2 ** 20,
      frame_messages_max: 10_000,
      memory_max: 2 ** 24,
      connections_max: 100,
      connections_per_address: 50,
      queues_max: 60,
      pulls_max: 70,
      send_buffers_max: 2 ** 28,
      streams_max: 7,
      heartbeat: 20_000,
    },
    memory: {
      resident_bytes: expect.any(Number),
      heap_used_bytes: expect.any(Number),
      external_bytes: expect.any(Number),
      bodies_bytes: 0,
    },
    disk: { free_bytes: expect.any(Number), size_bytes: expect.any(Number), data_bytes: expect.any(Number) },
    commits: {
      count: expect.any(Number),
      failed: 0,
      mean_ms: expect.any(Number),
      last_ms: expect.any(Number),
      oldest_pending_ms: 0,
    },
  })
  expect(text).not.toContain(tmpdir())
})

test('metrics are for those who administer the server; of /v1/server others learn what a client must know', async () => {
  const data = mkdtempSync(path.join(tmpdir(), 'sluice-metrics-'))
  onTestFinished(() => rmSync(data, { recursive: true, force: true }))
  const server = await start({ data, auth: 'tokens' })
  const secret = readFileSync(path.join(data, 'admin.token'), 'utf8').trim()
  const admin = { authorization: `Bearer ${secret}` }
  const wish = { name: 'some', grants: [{ queue: '*', rights: ['browse'] }] }
  const created = await server.call('POST', '/v1/tokens', wish, { ...admin, 'content-type': 'application/json' })
  expect(created.status).toBe(201)
  const some = { authorization: `Bearer ${created.json.secret}` }
  expect((await server.call('GET', '/metrics')).status).toBe(401)
  expect((await server.call('GET', '/metrics', undefined, some)).status).toBe(403)
  const metrics = await server.call('GET', '/metrics', undefined, admin)
  expect(metrics).toMatchObject({ status: 200, type: 'text/plain; version=0.0.4; charset=utf-8' })
  expect(metrics.text).not.toContain(secret)
  expect(Object.keys((await server.call('GET', '/v1/server', undefined, some)).json).sort()).toEqual([
    'limits',
    'name',
    'protocol_version',
    'publishing',
    'start',
    'version',
  ])
  expect((await server.call('GET', '/v1/server', undefined, admin)).json).toHaveProperty('commits')
})
