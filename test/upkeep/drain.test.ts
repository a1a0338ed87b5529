import { once } from 'node:events'
import { connect, type Delivery, type Message } from '@sluice/client'
import { expect, onTestFinished, test } from 'vitest'
import { MAIN, Running } from '../clients/cli-support.ts'
import { newFolder } from './support.ts'

/*
 * The stop of a server as a process: SIGTERM, what is let come to its end, and what a second signal does.
 */

interface Started {
  readonly running: Running
  readonly url: string
}

async function started(env: Readonly<Record<string, string>> = {}, data: string = newFolder()): Promise<Started> {
  const args = [MAIN, 'serve', '--data', data, '--listen', '127.0.0.1:0']
  const running = new Running(args, { PATH: process.env['PATH'], SLUICE_DISK_FREE_MIN: '1MiB', ...env })
  onTestFinished(() => void running.child.kill('SIGKILL'))
  await running.says('sluice ready on')
  return { running, url: /http\S+/.exec(running.stdout)?.[0] ?? '' }
}

async function terminated({ running }: Started): Promise<void> {
  running.child.kill('SIGTERM')
  await running.says('"draining"')
}

function messageOf<T>({ value }: IteratorResult<Delivery<T>, unknown>): Message<T> {
  const delivery = value as Delivery<T>
  if (delivery.kind === 'barrier') throw new Error('a barrier')
  return delivery
}

const put = (url: string, path: string, body: string, type = 'application/json') =>
  fetch(`${url}/v1/queues/${path}`, { method: 'POST', headers: { 'content-type': type }, body })

test('D6: a stop waits for what is being worked on, and takes its acks, and begins nothing new', async () => {
  const server = await started()
  const client = await connect(server.url.replace('http', 'ws'))
  onTestFinished(() => client.close())
  const queue = client.queue<{ n: number }>('q')
  await queue.declare({})
  await queue.publishMany([{ n: 1 }, { n: 2 }, { n: 3 }])
  const messages = queue.consume({ prefetch: 2 })[Symbol.asyncIterator]()
  const first = messageOf(await messages.next())
  const second = messageOf(await messages.next())

  await terminated(server)
  expect((await fetch(`${server.url}/readyz`)).status).toBe(503)
  const refused = await put(server.url, 'q/messages', '{"n":5}')
  expect(await refused.json()).toMatchObject({ status: 503, code: 'shutting-down' })
  expect(refused.headers.get('retry-after')).toBe('1')
  const pulled = await put(server.url, 'q/deliveries?wait=20s', '')
  expect(await pulled.json()).toMatchObject({ code: 'shutting-down' })

  await first.ack()
  expect(server.running.child.exitCode).toBe(null)
  await second.ack()
  const [code] = await once(server.running.child, 'exit')
  expect(code).toBe(0)
  expect(server.running.stderr).not.toContain('drained-in-part')
})

test('B4: a barrier that the last ack of a drain releases reaches who waits for it', async () => {
  const data = newFolder()
  const server = await started({}, data)
  const client = await connect(server.url.replace('http', 'ws'))
  onTestFinished(() => client.close())
  const queue = client.queue('q')
  await queue.declare({})
  await queue.publish(1)
  const eod = await queue.barrier({ name: 'eod' })
  const released = eod.wait()
  const messages = queue.consume({ prefetch: 5 })[Symbol.asyncIterator]()
  const first = messageOf(await messages.next())
  await terminated(server)
  await first.ack({ durable: true })
  expect(await released).toMatchObject({ name: 'eod', outcome: 'clean' })
  await once(server.running.child, 'exit')
})

test('D6: what is not settled within `drain` is given back without an attempt', async () => {
  const data = newFolder()
  const server = await started({ SLUICE_DRAIN: '300ms' }, data)
  await fetch(`${server.url}/v1/queues/q`, { method: 'PUT' })
  await put(server.url, 'q/messages', '{}')
  const { deliveries } = (await (await put(server.url, 'q/deliveries?lease=1h', '')).json()) as {
    deliveries: unknown[]
  }
  expect(deliveries).toHaveLength(1)
  await terminated(server)
  expect((await server.running.ended()).exitCode).toBe(0)
  expect(server.running.stderr).toMatch(/"leased":1.*"event":"drained-in-part"/)
  const again = await started({}, data)
  const next = (await (await put(again.url, 'q/deliveries', '')).json()) as { deliveries: { attempt: number }[] }
  expect(next.deliveries[0]?.attempt).toBe(1)
})

async function queueAt(url: string): Promise<unknown> {
  return (await fetch(`${url}/v1/queues/q`)).json()
}

test('a pull that waits is answered at once, and a server with nothing to wait for stops at once', async () => {
  const server = await started({ SLUICE_DRAIN: '1h' })
  await fetch(`${server.url}/v1/queues/q`, { method: 'PUT' })
  const waiting = put(server.url, 'q/deliveries?wait=60s', '').then(response => response.json())
  await expect.poll(() => queueAt(server.url)).toMatchObject({ subscriptions: 1 })
  server.running.child.kill('SIGTERM')
  expect(await waiting).toMatchObject({ deliveries: [] })
  expect((await server.running.ended()).exitCode).toBe(0)
})

test('a second signal ends the process at once', async () => {
  const server = await started({ SLUICE_DRAIN: '1h' })
  await fetch(`${server.url}/v1/queues/q`, { method: 'PUT' })
  await put(server.url, 'q/messages', '{}')
  await put(server.url, 'q/deliveries?lease=1h', '')
  await terminated(server)
  server.running.child.kill('SIGTERM')
  const [code] = await once(server.running.child, 'exit')
  expect(code).toBe(143)
})
