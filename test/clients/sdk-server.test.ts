import { memoryServer } from '@sluice/client/testing'
import { expect, test } from 'vitest'

test('B2, D7: a crashed worker does not open the barrier early, on the real engine with a clock of its own', async () => {
  await using server = await memoryServer({ clock: 'virtual' })
  await using client = await server.connect()
  const queue = client.queue<number>('q')
  await queue.declare({ leaseMs: 30_000 })
  await queue.publish(1)
  const barrier = await queue.barrier({ name: 'end' })
  await using doomed = await server.connect()
  const crashed = doomed.queue<number>('q').consume({ barriers: false, prefetch: 1 })[Symbol.asyncIterator]()
  const first = await crashed.next()
  expect(first.value?.body).toBe(1)
  expect(await barrier.holdouts()).toMatchObject([{ sequence: 1, state: 'leased' }])
  await server.advance(30_001)
  expect(await barrier.holdouts()).toMatchObject([{ sequence: 1, attempt: 2 }])
  await doomed.close()
  const kinds: string[] = []
  for await (const message of queue.consume({ prefetch: 1 })) {
    kinds.push(message.kind)
    if (message.kind === 'barrier') break
    expect(message.attempt).toBeGreaterThan(1)
    await message.ack()
  }
  expect(kinds).toEqual(['message', 'barrier'])
  expect(await barrier.wait()).toMatchObject({ name: 'end', outcome: 'clean', stats: { published: 1, acked: 1 } })
})
