import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, statfsSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type Client, connect, type Message, type Queue } from '@sluice/client'
import { afterEach, expect, test } from 'vitest'
import { ServerProcess } from './support/server-process.ts'
import { until } from './support/until.ts'

const MIB = 2 ** 20
const DISK_MIB = 192
const MARK_MIB = 48
const BODY_BYTES = 20_000

const mounted: string[] = []
const cleanUp: (() => unknown)[] = []

afterEach(async () => {
  for (const clean of cleanUp.splice(0).reverse()) await clean()
  for (const folder of mounted.splice(0)) unmount(folder)
})

const SKIPPED =
  'SKIPPED: a file system cannot be mounted here (Linux, root and the right to mount are needed): sudo npx vitest run --project slow test/crash/full-disk.test.ts'

/** Small file systems of their own: in memory, and ext4 in a file. */
const KINDS = (['tmpfs', 'ext4'] as const).filter(kind => {
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-mount-'))
  try {
    mount(kind, folder)
    unmount(folder)
    return true
  } catch (error) {
    console.log(`${kind}: ${SKIPPED} (${(error as Error).message.split('\n')[0]})`)
    return false
  }
})

function mount(kind: 'tmpfs' | 'ext4', folder: string): string {
  const disk = path.join(folder, 'disk')
  mkdirSync(disk)
  const run = (program: string, ...args: string[]) => execFileSync(program, args, { stdio: 'pipe' })
  if (kind === 'tmpfs') run('mount', '-t', 'tmpfs', '-o', `size=${DISK_MIB}m`, 'sluice', disk)
  else {
    const image = path.join(folder, 'image')
    run('truncate', '-s', `${DISK_MIB}M`, image)
    run('mkfs.ext4', '-q', '-F', '-m', '0', image)
    run('mount', '-o', 'loop', image, disk)
  }
  return disk
}

function unmount(folder: string): void {
  execFileSync('umount', [path.join(folder, 'disk')], { stdio: 'pipe' })
  rmSync(folder, { recursive: true, force: true })
}

function freeMiB(disk: string): number {
  const { bavail, bsize } = statfsSync(disk)
  return (bavail * bsize) / MIB
}

async function scene(kind: 'tmpfs' | 'ext4') {
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-full-'))
  const disk = mount(kind, folder)
  mounted.push(folder)
  const data = path.join(disk, 'data')
  const start = async () => {
    const server = await ServerProcess.start({ folder: data, env: { SLUICE_DISK_FREE_MIN: `${MARK_MIB}MiB` } })
    cleanUp.push(() => server.end('SIGKILL'))
    return server
  }
  const server = await start()
  const join = async (name: string): Promise<Client> => {
    const client = await connect(await server.url(), { name })
    cleanUp.push(() => client.close())
    return client
  }
  return { disk, data, server, start, join }
}

/** Publishes as fast as it is let, until it is told to stop. */
function flooding(queue: Queue<Uint8Array>) {
  const body = new Uint8Array(BODY_BYTES)
  let isOver = false
  const state = { confirmed: 0, stop: () => {} }
  const done = queue.publishMany(
    (function* () {
      while (!isOver) yield body
    })(),
    {
      chunk: 50,
      onProgress: ({ confirmed }) => {
        state.confirmed = confirmed
      },
    },
  )
  done.catch(() => {})
  return Object.assign(state, {
    stop: () => {
      isOver = true
    },
  })
}

/** Resolves once nothing more is confirmed. */
async function stalled(flood: { readonly confirmed: number }): Promise<number> {
  for (let before = -1; before !== flood.confirmed || before === 0; ) {
    before = flood.confirmed
    await new Promise(resolve => setTimeout(resolve, 700))
  }
  return flood.confirmed
}

test.skipIf(KINDS.length === 0).each(KINDS)(
  'R5: on a small disk (%s) publishing stops well before it is full, deliveries and acks go on, and it resumes by itself once they have made room',
  async kind => {
    const { disk, server, join } = await scene(kind)
    const publisher = await join('publisher')
    const queue = publisher.queue<Uint8Array>('q', { codec: 'bytes' })
    await queue.declare({})
    const held: string[] = []
    publisher.addEventListener('warning', ({ detail }) => held.push(detail.detail))
    const flood = flooding(queue)

    // Filled by publishing.
    const atMark = await stalled(flood)
    const free = freeMiB(disk)
    console.log(
      `${kind}: ${atMark} messages of ${BODY_BYTES} bytes, then ${free.toFixed(0)} of ${DISK_MIB} MiB were free`,
    )
    expect(free).toBeLessThan(MARK_MIB)
    // What was on its way when the mark was passed is written, and no more.
    expect(free).toBeGreaterThan(MARK_MIB / 3)
    expect(held).toEqual([expect.stringContaining('disk_free_min')])
    expect(server.stderr).toContain('publishing-stopped')
    const refused = await fetch(`http://127.0.0.1:${await server.port}/v1/queues/q/messages`, {
      method: 'POST',
      body: 'x',
    })
    expect(refused.status).toBe(503)
    expect(await refused.json()).toMatchObject({ code: 'server-busy', detail: expect.stringContaining('disk') })

    // Everything is delivered and acked, to the disk.
    const consumer = await join('consumer')
    let acked = 0
    void (async () => {
      const messages = consumer.queue<Uint8Array>('q', { codec: 'bytes' }).consume({ prefetch: 50, barriers: false })
      for await (const message of messages)
        void (message as Message<Uint8Array>).ack({ durable: true }).then(
          result => {
            if (result === 'acked') acked += 1
          },
          // The client is closed at the end.
          () => {},
        )
    })().catch(() => {})
    await until(() => acked >= atMark, 'acks on the full disk')

    // The file does not get smaller, but what was acked makes room in it.
    await until(() => server.stderr.includes('publishing-resumed'), 'publishing to resume')
    await until(() => flood.confirmed > atMark + 500, 'further confirms')
    expect(freeMiB(disk)).toBeGreaterThan(MARK_MIB / 3)
    expect(server.hasEnded).toBe(false)
    flood.stop()
    await publisher.close()
  },
  120_000,
)

test.skipIf(KINDS.length === 0).each(KINDS)(
  'R5: when another process fills the disk (%s) publishing stops, acks go on, and it resumes by itself when that makes way',
  async kind => {
    const { disk, server, join } = await scene(kind)
    const publisher = await join('publisher')
    const queue = publisher.queue<Uint8Array>('q', { codec: 'bytes' })
    await queue.declare({})
    await queue.publishMany(Array.from({ length: 500 }, () => new Uint8Array(1_000)))
    const consumer = await join('consumer')
    const messages = consumer.queue<Uint8Array>('q', { codec: 'bytes' }).consume({ prefetch: 500, barriers: false })

    const filler = path.join(disk, 'filler')
    writeFileSync(filler, Buffer.alloc(Math.floor((freeMiB(disk) - MARK_MIB / 2) * MIB), 1))
    await until(() => server.stderr.includes('publishing-stopped'), 'publishing to stop', 10_000)
    // More than the credit that was granted before (4 MiB): the rest waits.
    let isConfirmed = false
    const waiting = queue.publishMany(Array.from({ length: 400 }, () => new Uint8Array(BODY_BYTES))).then(() => {
      isConfirmed = true
    })
    for (let k = 0; k < 500; k += 1) {
      const { value } = await messages.next()
      expect(await (value as Message<Uint8Array>).ack({ durable: true })).toBe('acked')
    }
    expect(isConfirmed).toBe(false)

    unlinkSync(filler)
    await until(() => server.stderr.includes('publishing-resumed'), 'publishing to resume', 10_000)
    await waiting
    expect(server.hasEnded).toBe(false)
  },
  120_000,
)

test.skipIf(KINDS.length === 0).each(KINDS)(
  'P2, R1: when another process takes the last byte of the disk (%s) the server ends with 74, says so at a start, and nothing confirmed is lost once there is room',
  async kind => {
    const { disk, data, server, start, join } = await scene(kind)
    const publisher = await join('publisher')
    const queue = publisher.queue<Uint8Array>('q', { codec: 'bytes' })
    await queue.declare({})
    // Filled to the last byte by hand: the mark is passed between two looks, while something is being published.
    const flood = flooding(queue)
    await until(() => flood.confirmed > 100, '100 confirms')
    const filler = path.join(disk, 'filler')
    fill(filler, disk)
    const ending = await server.ended
    await publisher.close()
    expect(ending).toMatchObject({ code: 74, signal: null })
    expect(server.stderr).toMatch(/"code":"commit-failed".*did not reach the disk: /)
    const { confirmed } = flood

    const again = ServerProcess.spawn({ folder: data, env: { SLUICE_DISK_FREE_MIN: `${MARK_MIB}MiB` } })
    const refused = await again.ended
    expect(refused.signal).toBe(null)
    expect(refused.code).not.toBe(0)
    expect(again.stderr).toMatch(/^sluice: .*(No space left|ENOSPC)/m)

    unlinkSync(filler)
    const after = await start()
    const reader = await connect(await after.url(), { name: 'reader' })
    const { ready } = await reader.queue('q').show()
    await reader.close()
    expect(ready).toBeGreaterThanOrEqual(confirmed)
  },
  120_000,
)

/** Takes all the room there is. */
function fill(file: string, disk: string): void {
  for (let bytes = freeMiB(disk) * MIB; bytes >= 4_096; bytes /= 2) {
    try {
      writeFileSync(file, Buffer.alloc(Math.floor(bytes), 1), { flag: 'a' })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    }
  }
}
