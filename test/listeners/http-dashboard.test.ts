import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, onTestFinished, test } from 'vitest'
import { silentLog } from '../../src/observe/log.ts'
import { startMemoryServer, startServer } from '../../src/server.ts'
import { askingServer, CONFIG } from '../access/support.ts'
import { Seeding, sales } from '../dashboard/seeding.ts'

const BUILT = join(import.meta.dirname, '../../clients/dashboard/dist')
const GZIPPED_MAX = 60_000

async function server(options: { readonly virtualClock?: boolean } = {}) {
  const running = await startMemoryServer(options)
  onTestFinished(() => running.close())
  return { ...running, seed: new Seeding(running.url) }
}

type View = Record<string, unknown> & {
  readonly items: readonly (Record<string, unknown> & { name?: string; queue?: string })[]
  readonly total: number
  readonly pages: number
}

function look(seed: Seeding, query: string): Promise<View> {
  return seed.call('GET', `overview?${query}`)
}

/** Events of a stream as they come, with when. */
async function follow(url: string, count: number, withinMs: number, token?: string) {
  const controller = new AbortController()
  const timer = setTimeout(() => controller.abort(), withinMs)
  const heard: { at: number; event: string; data: Record<string, unknown> }[] = []
  try {
    const response = await fetch(url, {
      signal: controller.signal,
      ...(token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }),
    })
    const decoder = new TextDecoder()
    let rest = ''
    for await (const piece of response.body as unknown as AsyncIterable<Uint8Array>) {
      rest += decoder.decode(piece, { stream: true })
      const blocks = rest.split('\n\n')
      rest = blocks.pop() ?? ''
      for (const block of blocks) {
        const data = /^data: (.*)$/m.exec(block)?.[1]
        if (data === undefined) continue
        const event = /^event: (.*)$/m.exec(block)?.[1] ?? 'message'
        heard.push({ at: performance.now(), event, data: JSON.parse(data) })
      }
      if (heard.length >= count) break
    }
  } catch (error) {
    if (!controller.signal.aborted) throw error
  } finally {
    clearTimeout(timer)
    controller.abort()
  }
  return heard
}

// ── the files ────────────────────────────────────────────────────────────────────────────────────────────────────────

test('the page and all its files are under 60 kB gzipped, and hold no script or style of their own', () => {
  const assets = readdirSync(join(BUILT, 'assets')).map(name => join(BUILT, 'assets', name))
  const index = join(BUILT, 'index.html')
  const bytes = [index, ...assets].reduce((sum, file) => sum + gzipSync(readFileSync(file)).length, 0)
  expect(bytes).toBeGreaterThan(5_000)
  expect(bytes).toBeLessThan(GZIPPED_MAX)
  const page = readFileSync(index, 'utf8')
  expect(page).not.toMatch(/<style|<script(?![^>]* src=)|\son\w+=|\sstyle=/)
  // No address of anybody else, but for the names of XML.
  for (const file of [index, ...assets])
    expect(readFileSync(file, 'utf8').match(/https?:\/\/(?!www\.w3\.org\/)[^"'`\s)]+/g) ?? []).toEqual([])
})

test('the page is served at / with a policy that lets nothing foreign in, its files for ever', async () => {
  const { url } = await server()
  const page = await fetch(`${url}/`)
  expect(page.status).toBe(200)
  expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8')
  expect(page.headers.get('cache-control')).toBe('no-cache')
  expect(page.headers.get('content-encoding')).toBe('gzip')
  const policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
  const files = [...(await page.text()).matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, file]) => file as string)
  expect(files.map(file => file.replace(/-[\w-]{8}\./, '-HASH.')).sort()).toEqual([
    '/assets/icon-HASH.svg',
    '/assets/index-HASH.css',
    '/assets/index-HASH.js',
  ])
  for (const file of ['/', ...files]) {
    const answer = await fetch(`${url}${file}`, { headers: { 'accept-encoding': 'identity' } })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-encoding')).toBeNull()
    expect(answer.headers.get('content-security-policy')).toBe(policy)
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
    expect(answer.headers.get('referrer-policy')).toBe('no-referrer')
    if (file !== '/') expect(answer.headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
    await answer.arrayBuffer()
  }
})

test('only files that were there at the start are served, whatever is asked for', async () => {
  const { url } = await server()
  for (const name of ['..%2Findex.html', '..%2f..%2fpackage.json', 'index.js', 'index.html', '__proto__'])
    expect((await fetch(`${url}/assets/${name}`)).status).toBe(404)
  expect((await fetch(`${url}/`, { method: 'POST' })).status).toBe(405)
})

test('the page is for everybody and holds no data; what it asks for takes a token', async () => {
  const { url } = await askingServer()
  expect((await fetch(`${url}/`)).status).toBe(200)
  expect((await fetch(`${url}/v1/overview?view=batches`)).status).toBe(401)
  expect((await fetch(`${url}/v1/overview/events?view=batches`)).status).toBe(401)
})

// ── what it shows ────────────────────────────────────────────────────────────────────────────────────────────────────

test('B17: open batches come first by whether a barrier waits, and their states sum to what was published', async () => {
  const { seed } = await server()
  await seed.queue('plain')
  await seed.queue('nightly')
  await seed.publish('plain', sales(7))
  await seed.publish('nightly', sales(10))
  await seed.barrier('nightly', 'eof')
  await seed.publish('nightly', sales(3))
  await seed.work('nightly', 4, 'acks')
  await seed.work('nightly', 1, 'rejects')
  await seed.work('nightly', 2, 'hold')
  const { items, total } = await look(seed, 'view=batches')
  expect(total).toBe(3)
  expect(items.map(({ queue, state, behind }) => [queue, state, behind])).toEqual([
    ['nightly', 'waiting', 3],
    ['nightly', 'open', 0],
    ['plain', 'open', 0],
  ])
  expect(items[0]?.['progress']).toMatchObject({ published: 10, acked: 4, leased: 2, ready: 3, delayed: 0, dead: 1 })
  expect(items[0]?.['holdouts']).toMatchObject([
    { sequence: 6, reason: 'leased', attempt: 1, leased_at: expect.any(String) },
    { sequence: 7, reason: 'leased' },
    { sequence: 8, reason: expect.any(String) },
  ])
})

test('what was released lately is shown with its outcome, the latest first', async () => {
  const { seed, advance } = await server({ virtualClock: true })
  for (const name of ['a', 'b']) {
    await seed.queue(name)
    await seed.publish(name, sales(1))
    await seed.barrier(name, `eof-${name}`)
    await advance(1_000)
    await seed.work(name, 1, name === 'a' ? 'acks' : 'rejects')
    await advance(1_000)
  }
  expect((await look(seed, 'view=batches'))['released']).toMatchObject([
    { queue: 'b', name: 'eof-b', outcome: 'with-dead' },
    { queue: 'a', name: 'eof-a', outcome: 'clean' },
  ])
})

test('of 10,000 queues only the page shown is made, and quickly', async () => {
  const queues = Array.from({ length: 10_000 }, (_, k) => ({
    name: `q${`${k}`.padStart(5, '0')}`,
    options: {},
    place: '',
    places: {},
  }))
  const running = await startServer({ ...CONFIG, auth: 'none', queues }, { log: silentLog })
  onTestFinished(() => running.close())
  const seed = new Seeding(running.url)
  await seed.publish('q04217', sales(3))
  const first = await look(seed, 'view=queues')
  expect([first.total, first.pages, first.items.length]).toEqual([10_000, 200, 50])
  expect((await look(seed, 'view=queues&page=199')).items.at(-1)?.name).toBe('q09999')
  expect((await look(seed, 'view=queues&only=busy')).items.map(({ name }) => name)).toEqual(['q04217'])
  expect((await look(seed, 'view=queues&text=421')).items.length).toBe(20)
  const began = performance.now()
  for (let k = 0; k < 20; k += 1) await look(seed, `view=queues&page=${k}`)
  // Five whole lists of them take longer than all of these.
  const pagesMs = performance.now() - began
  const beganWhole = performance.now()
  for (let k = 0; k < 5; k += 1) await seed.call('GET', 'queues')
  expect(pagesMs).toBeLessThan(performance.now() - beganWhole)
}, 60_000)

test('the stream tells at most four times a second, and nothing while nothing changes', async () => {
  const { url, seed } = await server()
  await seed.queue('busy')
  let isOver = false
  const publishing = (async () => {
    while (!isOver) await seed.publish('busy', sales(1))
  })()
  const heard = await follow(`${url}/v1/overview/events?view=queues`, 6, 10_000)
  isOver = true
  await publishing
  expect(heard.length).toBe(6)
  // Of the first there is no interval; timers may be a little early, and the socket a little late.
  expect((heard[5]?.at ?? 0) - (heard[0]?.at ?? 0)).toBeGreaterThan(5 * 250 - 60)
  const quiet = await follow(`${url}/v1/overview/events?view=queues`, 2, 1_500)
  expect(quiet.length).toBe(1)
})

test('a queue that goes away is told in the stream, and one that never was is refused at once', async () => {
  const { url, seed } = await server()
  await seed.queue('short')
  const heard = follow(`${url}/v1/overview/events?view=queue&queue=short`, 2, 5_000)
  await new Promise(resolve => setTimeout(resolve, 100))
  await seed.call('DELETE', 'queues/short')
  expect((await heard)[1]?.data).toMatchObject({ problem: { code: 'no-such-queue' } })
  expect((await fetch(`${url}/v1/overview/events?view=queue&queue=short`)).status).toBe(404)
})

test('a token sees its queues alone, no counts of what it sees in part, and nobody else who is connected', async () => {
  const asking = await askingServer()
  const admin = new Seeding(asking.url, asking.admin)
  for (const name of ['mine', 'partly', 'secret', 'publish-only']) {
    await admin.queue(name)
    await admin.publish(name, sales(5))
    await admin.barrier(name, 'eof')
  }
  const token = await asking.token('desk', [
    { queue: 'mine', rights: ['browse'] },
    { queue: 'partly', rights: ['browse', 'consume'], filter: '/store = 1' },
    { queue: 'publish-only', rights: ['publish'] },
  ])
  const desk = new Seeding(asking.url, token)
  const queues = await look(desk, 'view=queues')
  expect(queues.items).toEqual([
    expect.objectContaining({ name: 'mine', rights: ['browse'], ready: 5, published_total: 5 }),
    { name: 'partly', paused: false, rights: ['consume', 'browse'] },
    { name: 'publish-only', paused: false, rights: ['publish'] },
  ])
  const batches = await look(desk, 'view=batches')
  expect(batches.items.map(({ queue }) => queue)).toEqual(['mine'])
  expect(batches['totals']).toMatchObject({ queues: 3, live: 5, barriers_waiting: 1, published: 5 })
  expect((await look(desk, 'view=timeline')).items.map(({ queue }) => queue)).toEqual(['mine'])
  await expect(look(desk, 'view=clients')).rejects.toThrow(/403/)
  await expect(look(desk, 'view=queue&queue=secret')).rejects.toThrow(/403/)
  await expect(look(desk, 'view=batch&queue=secret&barrier=eof')).rejects.toThrow(/403/)
  await expect(look(desk, 'view=batch&queue=nothing&barrier=eof')).rejects.toThrow(/403/)
  // Looking around is no attempt at anything.
  expect(asking.logged('not-allowed').map(({ queue }) => queue)).not.toContain('publish-only')
})

test('the stream of a token ends when the token is revoked, and says so', async () => {
  const asking = await askingServer()
  const token = await asking.token('desk', [{ queue: '*', rights: ['browse'] }])
  const heard = follow(`${asking.url}/v1/overview/events?view=queues`, 2, 5_000, token)
  await new Promise(resolve => setTimeout(resolve, 150))
  expect((await asking.call('DELETE', '/v1/tokens/desk', { token: asking.admin })).status).toBe(204)
  expect((await heard)[1]).toMatchObject({ event: 'end', data: { code: 'unauthenticated' } })
})

test('a view that is not there, or lacks its queue, is refused by name', async () => {
  const { url } = await server()
  for (const [query, parameter] of [
    ['', 'view'],
    ['view=everything', 'view'],
    ['view=queue', 'queue'],
    ['view=batch&queue=a', 'barrier'],
    ['view=queues&page=-1', 'page'],
    ['view=queues&sort=up', 'sort'],
  ]) {
    const answer = await fetch(`${url}/v1/overview?${query}`)
    expect([query, answer.status, ((await answer.json()) as { parameter: string }).parameter]).toEqual([
      query,
      400,
      parameter,
    ])
  }
})
