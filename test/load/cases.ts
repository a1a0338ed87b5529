import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, rmSync, statfsSync } from 'node:fs'
import { connect as connectTcp } from 'node:net'
import path from 'node:path'
import { type Client, connect, type Message } from '@sluice/client'
import { PUBLISH_WINDOW_BYTES_DEFAULT, SUBPROTOCOL } from '@sluice/protocol'
import { WebSocket } from 'ws'
import { frame, HELLO, subscribe } from '../listeners/native-support.ts'
import { HurtServer, passed, until } from './server.ts'
import { Steady } from './steady.ts'

/*
 * Load that hurts, in any size: each case starts a server as a process of its own, hurts it, and gives the figures.
 * `load.test.ts` and `main.ts` say what they must be.
 */

/** @param say told how far it is */
export type Say = (line: string) => void

const kib = (bytes: number): number => Math.round(bytes / 1_024)
const mib = (bytes: number): number => Math.round(bytes / 2 ** 20)

/** A connection of which next to nothing is kept at our end, so that ten thousand can be had. */
async function openRaw(url: string, name = ''): Promise<WebSocket> {
  const socket = new WebSocket(`${url.replace(/\/$/, '')}/v1/ws`, SUBPROTOCOL, { perMessageDeflate: false })
  socket.on('error', () => {})
  await once(socket, 'open')
  const welcomed = Promise.race([
    once(socket, 'message'),
    once(socket, 'close').then(() => Promise.reject(new Error('closed instead of a welcome'))),
  ])
  socket.send(frame('hello', { ...HELLO, name, producer: '' }))
  await welcomed
  return socket
}

/** Many connections at once, which do nothing and go. */
interface Storm {
  readonly seconds: number
  readonly refused: number
  /** Resident while they are open, and a second after they are closed, with what garbage there is then. */
  readonly openMib: number
  readonly closedMib: number
}

/**
 * D9: connections that do nothing. They come as fast as one process can, go, and come again: memory goes back to the heap,
 * not to the machine, so what is kept shows in the storms behind the first, and in what is held when garbage is collected.
 *
 * @param storms two at least
 */
export async function idle({ connections, storms, say }: { connections: number; storms: number; say: Say }): Promise<{
  kibEach: number
  baseMib: number
  storms: Storm[]
  heldMib: { base: number; first: number; last: number }
  keptBytesEach: number
  publishMsMax: number
}> {
  const server = await HurtServer.start({ settings: { connections_max: connections + 100 } })
  try {
    const busy = await connect(server.url, { name: 'busy' })
    await busy.queue('q').declare()
    const heldAtBase = await server.heldBytes()
    const base = server.residentBytes
    let publishMsMax = 0
    const storm = async (): Promise<Storm> => {
      const startedAt = performance.now()
      const { sockets, refused } = await openMany(server.url, connections)
      const seconds = (performance.now() - startedAt) / 1_000
      await passed(2_000)
      const open = server.residentBytes
      for (let round = 0; round < 20; round++) {
        const publishedAt = performance.now()
        await busy.queue('q').publish(round)
        publishMsMax = Math.max(publishMsMax, performance.now() - publishedAt)
      }
      for (const socket of sockets) socket.terminate()
      await passed(1_000)
      const closed = server.residentBytes
      say(`${sockets.length} connections in ${seconds.toFixed(1)} s, ${mib(open)} MiB, closed ${mib(closed)} MiB`)
      return { seconds, refused, openMib: mib(open), closedMib: mib(closed) }
    }
    const seen = [await storm()]
    const heldAfterFirst = await server.heldBytes()
    while (seen.length < storms) seen.push(await storm())
    const heldAtEnd = await server.heldBytes()
    await busy.close()
    return {
      kibEach: kib((seen[0]!.openMib * 2 ** 20 - base) / connections),
      baseMib: mib(base),
      storms: seen,
      heldMib: { base: mib(heldAtBase), first: mib(heldAfterFirst), last: mib(heldAtEnd) },
      keptBytesEach: Math.round((heldAtEnd - heldAfterFirst) / (connections * (storms - 1))),
      publishMsMax,
    }
  } finally {
    await server.kill()
  }
}

/** As fast as one process can: 200 handshakes on their way at once. */
async function openMany(url: string, connections: number): Promise<{ sockets: WebSocket[]; refused: number }> {
  const sockets: WebSocket[] = []
  let refused = 0
  let left = connections
  const opening = Array.from({ length: Math.min(200, connections) }, async () => {
    while (left > 0) {
      left--
      await openRaw(url).then(
        socket => sockets.push(socket),
        () => refused++,
      )
    }
  })
  await Promise.all(opening)
  return { sockets, refused }
}

/** D8: consumers that subscribe and then never read. */
export async function slowConsumer({
  consumers,
  seconds,
  say,
}: {
  consumers: number
  seconds: number
  say: Say
}): Promise<{
  p99Before: number
  p99During: number
  p99After: number
  isValid: boolean
  grownMib: number
  cutAfterSeconds: number
}> {
  const server = await HurtServer.start()
  const steady = await Steady.start(server.url, 200)
  try {
    const flood = await connect(server.url, { name: 'flood' })
    const queue = flood.queue<Uint8Array>('flood', { codec: 'bytes' })
    await queue.declare({ priority: 'property' })
    const body = new Uint8Array(10_000)
    // No two neighbours are alike, so each message is a delivery of its own.
    await queue.publishMany(
      Array.from({ length: consumers * 2_000 }, () => body),
      { options: (_, index) => ({ priority: index % 1_000 }) },
    )
    await passed(1_000)
    const before = await steady.measure(seconds * 1_000)
    const resident = server.residentBytes
    const startedAt = performance.now()
    const sockets = await Promise.all(Array.from({ length: consumers }, (_, k) => openRaw(server.url, `slow ${k}`)))
    for (const socket of sockets) {
      socket.send(subscribe({ queue: 'flood', prefetch: 2_000 }))
      socket.pause()
    }
    const during = await steady.measure(seconds * 1_000)
    const grown = server.residentBytes - resident
    say(`beside ${consumers} that do not read: p99 ${during.p99.toFixed(1)} ms, before ${before.p99.toFixed(1)} ms`)
    await until('all are cut', async () => (await queue.show()).leased === 0, 60_000)
    const cutAfterSeconds = (performance.now() - startedAt) / 1_000
    const after = await steady.measure(seconds * 1_000)
    for (const socket of sockets) socket.terminate()
    await flood.close()
    const { isValid, report } = await steady.stop()
    say(report)
    return {
      p99Before: before.p99,
      p99During: during.p99,
      p99After: after.p99,
      isValid,
      grownMib: mib(grown),
      cutAfterSeconds,
    }
  } finally {
    steady.kill()
    await server.kill()
  }
}

/** D11: what one consumer that does not read holds, when all that it may have is alike and could be one frame. */
export async function oneFrame({ messages, say }: { messages: number; say: Say }): Promise<{ grownMib: number }> {
  const server = await HurtServer.start({ settings: { memory_max: '8MiB' } })
  try {
    const flood = await connect(server.url, { name: 'flood' })
    const queue = flood.queue<Uint8Array>('flood', { codec: 'bytes' })
    await queue.declare()
    const body = new Uint8Array(10_000)
    await queue.publishMany(Array.from({ length: messages }, () => body))
    await passed(1_000)
    const before = server.residentBytes
    const socket = await openRaw(server.url, 'slow')
    socket.send(subscribe({ queue: 'flood', prefetch: 65_535 }))
    socket.pause()
    await until('all are leased', async () => (await queue.show()).leased >= Math.min(messages, 6_000))
    await passed(1_000)
    const grownMib = mib(server.residentBytes - before)
    say(`${grownMib} MiB more`)
    socket.terminate()
    await flood.close()
    return { grownMib }
  } finally {
    await server.kill()
  }
}

/** Size of what `fastPublisher` publishes, in bytes. */
const FAST_BODY_BYTES = 2_000
/** A frame of publishes of the SDK, in bytes (clients/typescript/src/lane.ts). */
const SDK_FRAME_BYTES = 128 * 1024
/** Credit of each of the two consumers that only consume. */
const FAST_PREFETCH = 500
/**
 * Messages that a publisher may still send when the server has stopped granting: the credit it had, in the worst case a
 * whole window, and a frame that goes beyond it. It uses it when it comes to it, perhaps long after: this one pauses by itself while its backlog is large.
 */
export const EARLIER_CREDIT_MESSAGES: number = Math.floor(
  (PUBLISH_WINDOW_BYTES_DEFAULT + SDK_FRAME_BYTES) / FAST_BODY_BYTES,
)

/** D11: publishers that are faster than everything behind them, in little memory; the disk runs low and is free again. */
export async function fastPublisher({
  publishers,
  seconds,
  backlogBytesMax,
  say,
}: {
  publishers: number
  seconds: number
  backlogBytesMax: number
  say: Say
}): Promise<{
  published: number
  consumed: number
  residentMibMax: number
  isAlive: boolean
  stoppedAfterMs: number
  consumedWhileStopped: number
  publishedWhileStopped: number
  carriedWhileStopped: number
  resumedAfterMs: number
}> {
  const folder = `${process.env['TMPDIR'] ?? '/tmp'}/sluice-hurt-${process.pid}-${Date.now()}`
  const { bavail, bsize } = statfsSync(path.dirname(folder))
  // Publishing goes on at 1.1 times the mark; and others write to this disk too.
  const freeBytes = bavail * bsize
  const diskFreeMin = Math.floor((freeBytes - 3 * backlogBytesMax) / 1.25)
  const ballastBytes = freeBytes - diskFreeMin + 2 ** 30
  if (diskFreeMin < 4 * 2 ** 30) throw new Error('this disk has too little room: some 10 GB must be free')
  const server = await HurtServer.start({
    folder,
    settings: { disk_free_min: diskFreeMin },
    nodeOptions: ['--max-old-space-size=256'],
  })
  const counts = { published: 0, consumed: 0, carried: 0 }
  const resident = { max: 0 }
  let isOver = false
  /** Consumers wait, so that there is something left for them when publishing has stopped. */
  let isHeld = false
  const clients: Client[] = []
  const client = async (name: string): Promise<Client> => {
    const one = await connect(server.url, { name })
    clients.push(one)
    return one
  }
  try {
    const looker = (await client('looker')).queue<Uint8Array>('q', { codec: 'bytes' })
    await looker.declare()
    const backlog = { bytes: 0 }
    const body = new Uint8Array(FAST_BODY_BYTES)
    const publishing = Array.from({ length: publishers }, async (_, k) => {
      const queue = (await client(`publisher ${k}`)).queue<Uint8Array>('q', { codec: 'bytes' })
      let inFlight = 0
      while (!isOver) {
        // As much as the window lets, but not a disk full.
        if (inFlight > 5_000 || backlog.bytes > backlogBytesMax) {
          await passed(5)
          continue
        }
        for (let burst = 0; burst < 200; burst++) {
          inFlight++
          queue
            .publish(body)
            .then(() => counts.published++)
            .catch(() => {})
            .finally(() => inFlight--)
        }
        await new Promise(resolve => setImmediate(resolve))
      }
    })
    const consuming = Array.from({ length: 2 }, async (_, k) => {
      const queue = (await client(`consumer ${k}`)).queue<Uint8Array>('q', { codec: 'bytes' })
      for await (const message of queue.consume({ prefetch: FAST_PREFETCH, barriers: false })) {
        while (isHeld) await passed(20)
        counts.consumed++
        void (message as Message<Uint8Array>).ack()
      }
    })
    // Publishes on the connection it consumes on, in each of both ways, and acks only then.
    const both = await client('both')
    const chain = both.queue<Uint8Array>('q', { codec: 'bytes' })
    await both.queue('next').declare()
    const chaining = (async () => {
      for await (const message of chain.consume({ prefetch: 20, barriers: false })) {
        while (isHeld) await passed(20)
        const body = message as Message<Uint8Array>
        void body
          .ack({ publish: [{ queue: 'next', body: 1 }] } as never)
          .then(() => counts.carried++)
          .catch(() => {})
      }
    })()
    const watching = (async () => {
      while (!isOver) {
        resident.max = Math.max(resident.max, server.residentBytes)
        const view = await looker.show().catch(() => undefined)
        if (view) backlog.bytes = view.bytes
        await passed(200)
      }
    })()
    const endAt = performance.now() + seconds * 1_000
    const stretch = async (ms: number): Promise<void> => {
      const until = performance.now() + ms
      while (performance.now() < until && server.isAlive) await passed(100)
    }
    await stretch((seconds * 1_000) / 3)
    say(
      `published ${counts.published}, consumed ${counts.consumed}, ${mib(Math.max(resident.max, server.residentBytes))} MiB`,
    )

    isHeld = true
    const ballast = path.join(folder, 'ballast')
    closeSync(openSync(ballast, 'w'))
    execFileSync('fallocate', ['-l', String(ballastBytes), ballast])
    const fullAt = performance.now()
    let seen = -1
    await until('publishing stops', async () => {
      const isQuiet = seen === counts.published
      seen = counts.published
      if (!isQuiet) await passed(1_500)
      return isQuiet
    })
    const stoppedAfterMs = performance.now() - fullAt
    const atStop = { ...counts }
    isHeld = false
    // More than they had here already: the server goes on delivering, and settling.
    const hasGoneOn = () => counts.consumed - atStop.consumed > 2 * FAST_PREFETCH && counts.carried > atStop.carried
    await until('consumers go on', hasGoneOn, 30_000)
    await stretch(2_000)
    const stopped = {
      consumed: counts.consumed - atStop.consumed,
      published: counts.published - atStop.published,
      carried: counts.carried - atStop.carried,
    }
    say(`stopped after ${stoppedAfterMs.toFixed(0)} ms; consumed meanwhile ${stopped.consumed}`)
    rmSync(ballast)
    const freeAt = performance.now()
    const before = counts.published
    await until('publishing goes on', () => counts.published > before || !server.isAlive)
    const resumedAfterMs = performance.now() - freeAt
    while (performance.now() < endAt && server.isAlive) {
      await stretch(Math.min(30_000, endAt - performance.now()))
      say(
        `published ${counts.published}, consumed ${counts.consumed}, backlog ${mib(backlog.bytes)} MiB, ${mib(server.residentBytes)} MiB`,
      )
    }
    isOver = true
    const isAlive = server.isAlive
    const residentMibMax = isAlive ? mib(Math.max(resident.max, server.residentBytes)) : Number.NaN
    await Promise.all(clients.map(one => one.close()))
    await Promise.allSettled([...publishing, ...consuming, chaining, watching])
    return {
      published: counts.published,
      consumed: counts.consumed,
      residentMibMax,
      isAlive,
      stoppedAfterMs,
      consumedWhileStopped: stopped.consumed,
      publishedWhileStopped: stopped.published,
      carriedWhileStopped: stopped.carried,
      resumedAfterMs,
    }
  } finally {
    isOver = true
    await server.kill()
    rmSync(folder, { recursive: true, force: true })
  }
}

const PREFETCH_MAX = 65_535

/** D10: many messages that wait. */
export async function backlog({ messages, say }: { messages: number; say: Say }): Promise<{
  rateEmpty: number
  rateFull: number
  residentMib: number
  firstPastUnmatchedMs: number
  leasedByOne: number
  restartMs: number
  firstDeliveryMs: number
  drainPerSecond: number
  barrierOutcome: string
  barrierPublished: number
}> {
  const settings = { memory_max: '64MiB' }
  let server = await HurtServer.start({ settings, folder: `/tmp/sluice-hurt-${process.pid}-${Date.now()}` })
  const { folder } = server
  try {
    const body = { kind: 'a', pad: 'x'.repeat(950) }
    const publisher = await connect(server.url, { name: 'publisher' })
    const queue = publisher.queue<typeof body>('q')
    await queue.declare({ prefetchBytes: 2 ** 40 })
    // In several stretches: the best of the first and of the last, so that what others do to the disk counts less.
    const stretch = Math.ceil(messages / 12)
    const rates: number[] = []
    for (let done = 0; done < messages; done += stretch) {
      const startedAt = performance.now()
      await queue.publishMany(
        (function* () {
          for (let k = 0; k < stretch; k++) yield body
        })(),
      )
      rates.push(stretch / ((performance.now() - startedAt) / 1_000))
    }
    const count = rates.length * stretch
    say(
      `published ${count}: ${rates.map(rate => Math.round(rate)).join(' ')} a second, ${mib(server.residentBytes)} MiB`,
    )

    // Behind all of them stands the only one that this consumer wants.
    await queue.publish({ kind: 'b', pad: '' })
    const picky = await connect(server.url, { name: 'picky' })
    const pickedAt = performance.now()
    for await (const message of picky.queue('q').consume({ filter: "/kind = 'b'", barriers: false })) {
      await (message as Message).ack()
      break
    }
    const firstPastUnmatchedMs = performance.now() - pickedAt
    await picky.close()
    say(`the one that matches came after ${firstPastUnmatchedMs.toFixed(0)} ms`)

    // All held by one that does not settle: the count is the server's.
    const holder = await openRaw(server.url, 'holder')
    let held = 0
    holder.on('message', () => {})
    for (let subscription = 1; subscription <= Math.ceil(count / PREFETCH_MAX) + 1; subscription++)
      holder.send(subscribe({ subscription, queue: 'q', prefetch: PREFETCH_MAX }))
    const isAllHeld = async (): Promise<boolean> => {
      held = (await queue.show()).leased
      return held >= count
    }
    await until('all are leased', isAllHeld, 30_000).catch(() => {})
    say(`leased by one: ${held}, ${mib(server.residentBytes)} MiB`)
    holder.terminate()
    await until('all came back', async () => (await queue.show()).leased === 0)

    await queue.barrier({ name: 'end' })
    await publisher.close()
    await server.kill()
    const restartedAt = performance.now()
    server = await HurtServer.start({ settings, folder })
    const restartMs = performance.now() - restartedAt
    const resident = server.residentBytes
    const consumer = await connect(server.url, { name: 'consumer' })
    const end = consumer.queue('q').batch('end').wait({ timeoutMs: 600_000 })
    let seen = 0
    let firstDeliveryMs = 0
    const drainAt = performance.now()
    for await (const message of consumer.queue('q').consume({ prefetch: 5_000, barriers: false })) {
      if (seen === 0) firstDeliveryMs = performance.now() - restartedAt
      seen++
      void (message as Message).ack()
      if (seen === count) break
    }
    const drainPerSecond = count / ((performance.now() - drainAt) / 1_000)
    const record = await end
    await consumer.close()
    return {
      rateEmpty: Math.max(...rates.slice(0, 3)),
      rateFull: Math.max(...rates.slice(-3)),
      residentMib: mib(resident),
      firstPastUnmatchedMs,
      leasedByOne: held / count,
      restartMs,
      firstDeliveryMs,
      drainPerSecond,
      barrierOutcome: record.outcome,
      barrierPublished: record.stats.published / count,
    }
  } finally {
    await server.kill()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** D10: many queues. */
export async function manyQueues({ queues, say }: { queues: number; say: Say }): Promise<{
  declareSeconds: number
  publishSeconds: number
  kibEach: number
  restartMs: number
  kibEachAfterRestart: number
  isThere: boolean
}> {
  let server = await HurtServer.start({ folder: `/tmp/sluice-hurt-${process.pid}-${Date.now()}` })
  const { folder } = server
  try {
    const client = await connect(server.url, { name: 'many' })
    const names = Array.from({ length: queues }, (_, k) => `q${k}`)
    const before = server.residentBytes
    const declaredAt = performance.now()
    await Promise.all(names.map(name => client.queue(name).declare()))
    const publishedAt = performance.now()
    await Promise.all(names.map(name => client.queue(name).publish({ name })))
    const doneAt = performance.now()
    await passed(1_000)
    const full = server.residentBytes
    say(`${queues} queues, ${mib(full)} MiB`)
    await client.close()
    await server.kill()
    const restartedAt = performance.now()
    server = await HurtServer.start({ folder })
    const restartMs = performance.now() - restartedAt
    const again = await connect(server.url, { name: 'again' })
    const { ready } = await again.queue(`q${queues - 1}`).show()
    const resident = server.residentBytes
    await again.close()
    return {
      declareSeconds: (publishedAt - declaredAt) / 1_000,
      publishSeconds: (doneAt - publishedAt) / 1_000,
      kibEach: kib((full - before) / queues),
      restartMs,
      kibEachAfterRestart: kib(Math.max(0, resident - before) / queues),
      isThere: ready === 1,
    }
  } finally {
    await server.kill()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** D12: no more files can be opened. */
export async function noFiles({ filesMax }: { filesMax: number; say: Say }): Promise<{
  opened: number
  refused: number
  oldStillWorks: boolean
  worksAgain: boolean
  isAlive: boolean
}> {
  const server = await HurtServer.start({ filesMax })
  try {
    const old = await connect(server.url, { name: 'old' })
    const queue = old.queue<number>('q')
    await queue.declare()
    const sockets: WebSocket[] = []
    let refused = 0
    const open = async (): Promise<void> => {
      const opened = openRaw(server.url)
      const isOpen = await Promise.race([
        opened.then(socket => sockets.push(socket) > 0),
        passed(1_500).then(() => false),
      ]).catch(() => false)
      if (!isOpen) refused++
      opened.then(socket => isOpen || socket.terminate()).catch(() => {})
    }
    while (refused < 5 && sockets.length < filesMax) await open()
    const opened = sockets.length
    const published = await queue.publish(1)
    for (const socket of sockets) socket.terminate()
    sockets.length = 0
    refused += 0
    const before = refused
    await until('new ones come in again', async () => {
      await open()
      return sockets.length > 0
    })
    const worksAgain = sockets.length > 0
    for (const socket of sockets) socket.terminate()
    const isAlive = server.isAlive
    await old.close()
    return { opened, refused: before, oldStillWorks: published.sequence === 1, worksAgain, isAlive }
  } finally {
    await server.kill()
  }
}

/** Longest look at the steady load alone, before it is hurt, in seconds. */
const BASELINE_SECONDS_MAX = 8
const PROGRESS_MS = 30_000

/** E4: garbage beside a steady load. Takes the seconds of garbage, and up to 15 more. */
export async function garbage({
  connections,
  perSecond,
  seconds,
  makeGarbage,
  say,
}: {
  connections: number
  /** How often, all connections together; `Infinity`: each again as soon as it is cut. */
  perSecond: number
  /** How long garbage comes. */
  seconds: number
  /** Bytes to send to the port, the next each time. */
  makeGarbage: () => Uint8Array
  say: Say
}): Promise<{
  p99Before: number
  p99During: number
  p50Before: number
  p50During: number
  maxDuring: number
  messages: number
  sent: number
  isAlive: boolean
  isValid: boolean
  grownMib: number
}> {
  const server = await HurtServer.start()
  const steady = await Steady.start(server.url, 200)
  try {
    await passed(1_000)
    const before = await steady.measure(Math.min(BASELINE_SECONDS_MAX, seconds / 2) * 1_000)
    const resident = server.residentBytes
    let isOver = false
    let sent = 0
    const paceMs = (1_000 * connections) / perSecond
    const attacking = Array.from({ length: connections }, async (_, k) => {
      await passed((paceMs * k) / connections)
      for (let at = performance.now(); !isOver; ) {
        const bytes = makeGarbage()
        sent++
        if (k % 2 === 0) {
          const socket = connectTcp(server.port, '127.0.0.1')
          socket.on('error', () => {})
          socket.resume()
          socket.end(bytes)
          await Promise.race([once(socket, 'close').catch(() => {}), passed(500)])
          socket.destroy()
        } else {
          const socket = await openRaw(server.url).catch(() => undefined)
          socket?.send(bytes)
          if (socket) await Promise.race([once(socket, 'close').catch(() => {}), passed(50)])
          socket?.terminate()
        }
        // Who is late has no slots left over.
        at = Math.max(at + paceMs, performance.now())
        await passed(at - performance.now())
      }
    })
    const during = await steady.measure(seconds * 1_000, {
      ms: PROGRESS_MS,
      tell: ({ p99, count }) =>
        say(`${sent} of garbage, ${count} messages, p99 ${p99.toFixed(1)} ms, ${mib(server.residentBytes)} MiB`),
    })
    isOver = true
    await Promise.all(attacking)
    const grown = server.residentBytes - resident
    say(`${sent} of garbage, p99 ${during.p99.toFixed(1)} ms, before ${before.p99.toFixed(1)} ms`)
    const isAlive = server.isAlive && during.count > seconds * 5
    const { isValid, report } = await steady.stop()
    say(report)
    return {
      p99Before: before.p99,
      p99During: during.p99,
      p50Before: before.p50,
      p50During: during.p50,
      maxDuring: during.max,
      messages: during.count,
      sent,
      isAlive,
      isValid,
      grownMib: mib(grown),
    }
  } finally {
    steady.kill()
    await server.kill()
  }
}
