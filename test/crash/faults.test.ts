import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type Client, connect, type Queue } from '@sluice/client'
import { afterEach, expect, test } from 'vitest'
import { buildDisk, Disk, NO_DISK } from './support/disk.ts'
import { type Ending, ServerProcess } from './support/server-process.ts'
import { until } from './support/until.ts'

const library = buildDisk()
const onDisk = test.skipIf(library === undefined)
if (library === undefined) console.log(NO_DISK)

const EXIT_JOURNAL_FAILED = 74
/** Holds everything: nothing is settled unless the test says so. */
const PREFETCH = 60_000

const cleanUp: (() => unknown)[] = []

afterEach(async () => {
  for (const clean of cleanUp.splice(0).reverse()) await clean()
})

function folder(): string {
  const made = mkdtempSync(path.join(tmpdir(), 'sluice-faults-'))
  cleanUp.push(() => rmSync(made, { recursive: true, force: true }))
  return made
}

async function start(data: string, disk?: Disk): Promise<ServerProcess> {
  const server = await ServerProcess.start({ folder: data, env: disk?.env ?? {} })
  cleanUp.push(() => server.end('SIGKILL'))
  return server
}

async function client(server: ServerProcess, name: string): Promise<Client> {
  const made = await connect(await server.url(), { name })
  cleanUp.push(() => made.close())
  return made
}

/** Publishes numbers from 1, a burst after the other, until the client is closed. */
function publishing(queue: Queue<number>, pad = 1) {
  const confirmed = new Set<number>()
  let published = 0
  const burst = async (): Promise<void> => {
    const sent = Array.from({ length: 20 * pad }, async () => {
      published += 1
      const id = published
      await queue.publish(id)
      confirmed.add(id)
    })
    await Promise.all(sent)
    return burst()
  }
  burst().catch(() => {})
  return { confirmed, published: () => published }
}

/** Takes everything there is and notes it. */
function collecting(queue: Queue<number>) {
  const delivered = new Set<number>()
  const wrong: string[] = []
  void (async () => {
    for await (const message of queue.consume({ prefetch: PREFETCH, barriers: false })) {
      if (message.kind === 'message') delivered.add(message.body)
    }
  })().catch(error => wrong.push(String(error)))
  return delivered
}

/** What a server on this folder still has, all of it. */
async function contents(data: string): Promise<Set<number>> {
  const server = await start(data)
  const reader = await client(server, 'reader')
  const queue = reader.queue<number>('q')
  const { ready } = await queue.show()
  const found = collecting(queue)
  await until(() => found.size >= ready, `${ready} messages`)
  await reader.close()
  await server.end('SIGKILL')
  return found
}

const missing = (needed: ReadonlySet<number>, found: ReadonlySet<number>) => [...needed].filter(id => !found.has(id))

/** A server on a disk that can be told to fail, and who publishes to its queue `q`. */
async function onBadDisk() {
  const base = folder()
  const data = path.join(base, 'data')
  const disk = new Disk(library!, data, path.join(base, 'disk'))
  const server = await start(data, disk)
  const publisher = await client(server, 'publisher')
  const queue = publisher.queue<number>('q')
  await queue.declare({})
  return { base, data, disk, server, publisher, queue }
}

/** A server under load whose disk fails from some moment on, until it is gone; what it told must be on the disk after that. */
async function endByDisk(fault: string): Promise<{ server: ServerProcess; ending: Ending; afterMs: number }> {
  const { base, data, disk, server, publisher, queue } = await onBadDisk()
  const delivered = collecting((await client(server, 'consumer')).queue<number>('q'))
  const { confirmed } = publishing(queue)
  await until(() => confirmed.size >= 200, '200 confirms')

  disk.fail(fault)
  const ending = await server.ended
  const failedAt = disk.failedAt()
  await publisher.close()
  expect(failedAt).toBeDefined()

  // The machine goes on: the page cache has it all. It goes down too: what no flush covered is gone.
  const afterPowerLoss = path.join(base, 'after-power-loss')
  cpSync(data, afterPowerLoss, { recursive: true, filter: name => !path.basename(name).startsWith('lock-') })
  new Disk(library!, afterPowerLoss, path.join(base, 'disk')).losePower('none', Math.random)
  for (const image of [data, afterPowerLoss]) {
    const found = await contents(image)
    expect(missing(confirmed, found), `confirmed, and not in ${image}`).toEqual([])
    expect(missing(delivered, found), `delivered, and not in ${image}`).toEqual([])
  }
  expect(delivered.size).toBeGreaterThan(100)
  return { server, ending, afterMs: ending.at - failedAt! }
}

function expectFailureSaid(server: ServerProcess): void {
  const said = server.stderr.split('\n').filter(line => line.includes('"level":"error"'))
  expect(said.map(line => JSON.parse(line))).toMatchObject([
    {
      event: 'journal-failed',
      code: 'commit-failed',
      reason: expect.stringMatching(/did not reach the disk: .*nothing more is confirmed$/),
    },
  ])
}

test.skipIf(library === undefined).each([
  ['every flush fails', 'sync=eio'],
  ['one flush fails', 'sync=eio-once'],
  ['the write of the head page fails', 'meta=eio'],
  ['the write of data fails', 'data=eio'],
])(
  'P2, R1: when %s, nothing is confirmed or delivered any more, the server ends with 74 within a second, and nothing told is lost',
  async (_, fault) => {
    const { server, ending, afterMs } = await endByDisk(fault)
    expect(ending).toMatchObject({ code: EXIT_JOURNAL_FAILED, signal: null })
    expect(afterMs).toBeLessThan(1_000)
    expectFailureSaid(server)
  },
)

// What lmdb-js does without room damages the heap (docs/reliability.md, "Full disks"): mostly nobody notices before the end.
onDisk(
  'P2, R1: when a write finds no room that the system said was there, nothing told is lost, and the server ends within a second, with 74 or by the known fault of lmdb-js',
  async () => {
    const { server, ending, afterMs } = await endByDisk('data=enospc')
    expect([EXIT_JOURNAL_FAILED, 'SIGABRT']).toContain(ending.code ?? ending.signal)
    expect(afterMs).toBeLessThan(1_000)
    if (ending.code === EXIT_JOURNAL_FAILED) expectFailureSaid(server)
  },
)

onDisk(
  'R5, R9: while flushes are slow the server answers others at once, its memory stays bounded, publishers wait, and all is confirmed in the end',
  async () => {
    const base = folder()
    const data = path.join(base, 'data')
    const disk = new Disk(library!, data, path.join(base, 'disk'))
    const server = await start(data, disk)
    const bodies = new Uint8Array(4_000)
    const publisher = await client(server, 'publisher')
    await publisher.queue('slow').declare({})
    const before = residentMiB(server.pid)
    disk.fail('sync=delay:1500')

    // Far more than fits on its way: four clients of 40 MB each.
    const taken = [0, 0, 0, 0]
    const publishers = await Promise.all(taken.map((_, k) => client(server, `flood ${k}`)))
    const floods = publishers.map((flood, k) =>
      flood.queue<Uint8Array>('slow', { codec: 'bytes' }).publishMany(
        (function* () {
          for (; taken[k]! < 10_000; taken[k]! += 1) yield bodies
        })(),
        { chunk: 100 },
      ),
    )
    const answers = await livezEvery(server, 50, 6_000)
    const during = residentMiB(server.pid)
    const takenMiB = taken.reduce((sum, count) => sum + count, 0) * (bodies.length / 2 ** 20)
    disk.fail()
    const counts = await Promise.all(floods)

    const sorted = answers.sort((a, b) => a - b)
    const slowest = sorted.at(-1)!
    const p90 = sorted[Math.floor(sorted.length * 0.9)]!
    console.log(
      `slow disk: /livez p90 ${p90.toFixed(1)} ms, slowest ${slowest.toFixed(0)} ms of ${answers.length}; resident ${before} → ${during} MiB; ${takenMiB.toFixed(0)} MiB taken`,
    )
    expect(p90).toBeLessThan(100)
    // None waited for a flush.
    expect(slowest).toBeLessThan(1_000)
    expect(during - before).toBeLessThan(150)
    // Each publisher has at most a window of 4 MiB on its way; three or four flushes came through meanwhile.
    expect(takenMiB).toBeLessThan(4 * 4 * 6)
    expect(counts).toEqual(taken.map(() => ({ count: 10_000 })))
  },
  120_000,
)

onDisk(
  'P2: a flush that does not end is given up after 10 s: the server is gone, and nothing was confirmed meanwhile',
  async () => {
    const { data, disk, server, publisher, queue } = await onBadDisk()
    const { confirmed, published } = publishing(queue)
    await until(() => confirmed.size >= 100, '100 confirms')
    disk.fail('sync=delay:30000')
    const stuckAt = await until(() => disk.failedAt(), 'a flush that hangs')
    await until(() => published() > confirmed.size, 'a publish without a confirm')
    const before = confirmed.size

    const ending = await server.ended
    await publisher.close()
    // An exit code would wait for the disk as well.
    expect(ending).toMatchObject({ signal: 'SIGKILL' })
    expect(ending.at - stuckAt).toBeGreaterThan(9_500)
    expect(ending.at - stuckAt).toBeLessThan(12_000)
    expect(server.stderr).toMatch(/"code":"commit-overdue".*was not on disk after 10 s.*"event":"journal-failed"/)
    // What was on its way to the client when the flush began may have come since.
    expect(confirmed.size - before).toBeLessThanOrEqual(20)
    expect(missing(confirmed, await contents(data))).toEqual([])
  },
  60_000,
)

/** How long each answer took, in ms. */
async function livezEvery(server: ServerProcess, everyMs: number, forMs: number): Promise<number[]> {
  const url = `http://127.0.0.1:${await server.port}/livez`
  const answers: number[] = []
  for (const end = performance.now() + forMs; performance.now() < end; ) {
    const began = performance.now()
    await (await fetch(url)).arrayBuffer()
    answers.push(performance.now() - began)
    await new Promise(resolve => setTimeout(resolve, everyMs))
  }
  return answers
}

function residentMiB(pid: number): number {
  return Math.round(Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024)
}
