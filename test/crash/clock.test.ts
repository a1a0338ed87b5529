import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type Client, connect } from '@sluice/client'
import { afterEach, expect, test } from 'vitest'
import { buildDisk, Disk, NO_DISK } from './support/disk.ts'
import { machineNow } from './support/notes.ts'
import { ServerProcess } from './support/server-process.ts'
import { until } from './support/until.ts'

const library = buildDisk()
if (library === undefined) console.log(NO_DISK)

const HOUR = 3_600_000
const YEAR = 365 * 24 * HOUR
const LEASE_MS = 3_000
const DELAY_MS = 4_000
const TTL_MS = 5_000
/** What a busy machine may add. */
const LATE_MS = 2_500

const cleanUp: (() => unknown)[] = []
afterEach(async () => {
  for (const clean of cleanUp.splice(0).reverse()) await clean()
})

test.skipIf(library === undefined).each([
  ['an hour ahead', HOUR],
  ['a year back', -YEAR],
])(
  'R6: when the wall clock jumps %s leases, delays and expiry keep their time, and a restart under it loses nothing',
  async (_, jumpMs) => {
    const base = mkdtempSync(path.join(tmpdir(), 'sluice-clock-'))
    cleanUp.push(() => rmSync(base, { recursive: true, force: true }))
    const data = path.join(base, 'data')
    const disk = new Disk(library!, data, path.join(base, 'disk'))
    const start = async () => {
      const server = await ServerProcess.start({ folder: data, env: disk.env })
      cleanUp.push(() => server.end('SIGKILL'))
      return server
    }
    const join = async (server: ServerProcess, name: string): Promise<Client> => {
      const client = await connect(await server.url(), { name })
      cleanUp.push(() => client.close())
      return client
    }
    const server = await start()
    const client = await join(server, 'first')
    const leased = client.queue<string>('leased')
    const delayed = client.queue<string>('delayed')
    const mortal = client.queue<string>('mortal')
    await leased.declare({ leaseMs: LEASE_MS })
    await delayed.declare({})
    await mortal.declare({})
    const arrivals = new Map<string, number>()
    const arrival = async (what: string, next: Promise<unknown>) => {
      await next
      arrivals.set(what, machineNow())
    }

    await leased.publish('l')
    const holding = leased.consume({ prefetch: 1 })
    await holding.next()
    const began = machineNow()
    await delayed.publish('d', { delayMs: DELAY_MS })
    await mortal.publish('m', { ttlMs: TTL_MS })
    const second = await join(server, 'second')
    const next = (queue: string) => second.queue(queue).consume({ prefetch: 1 })[Symbol.asyncIterator]().next()
    const all = Promise.all([
      arrival('lease', next('leased')),
      arrival('delay', next('delayed')),
      arrival(
        'ttl',
        until(async () => (await mortal.show()).ready === 0, 'the message to expire'),
      ),
    ])

    disk.setClock(jumpMs)
    const { headers } = await fetch(`http://127.0.0.1:${await server.port}/livez`)
    // The control: the server does see the jump.
    expect(Math.abs(Date.parse(headers.get('date') ?? '') - (Date.now() + jumpMs))).toBeLessThan(60_000)
    await all

    for (const [what, afterMs] of [
      ['lease', LEASE_MS],
      ['delay', DELAY_MS],
      ['ttl', TTL_MS],
    ] as const) {
      const took = arrivals.get(what)! - began
      // The lease began a little before we saw the delivery.
      expect(took, what).toBeGreaterThan(afterMs - 500)
      expect(took, what).toBeLessThan(afterMs + LATE_MS)
    }

    await leased.publish('after the jump')
    await server.end('SIGKILL')
    const again = await start()
    const third = await join(again, 'third')
    expect(await third.queue('leased').show()).toMatchObject({ ready: 2 })
    const found = third.queue<string>('leased').consume({ prefetch: 2 })
    const bodies = [(await found.next()).value, (await found.next()).value].map(message => message?.body)
    expect(bodies).toEqual(['l', 'after the jump'])
  },
  60_000,
)
