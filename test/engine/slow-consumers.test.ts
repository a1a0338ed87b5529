import { expect, test, vi } from 'vitest'
import type { Outbox } from '../../src/engine/peer.ts'
import { soon, TestPeer, testEngine } from '../support/engine.ts'

/** Lets those go on who rest, once. */
async function nextTurn(): Promise<void> {
  await new Promise(resolve => setImmediate(resolve))
  await soon()
}

/** Three of them are a piece of 256 KiB or more. */
const LARGE = 'x'.repeat(100 * 1024)

/** A peer whose outbox is full after each delivery, until it reads. */
class SlowPeer extends TestPeer {
  override deliver({ subscription, delivery, count, attempt, redelivered }: Parameters<Outbox['deliver']>[0]): void {
    this.heard.push(
      `${subscription}: ${delivery}+${count}${redelivered ? ' again' : ''}${attempt > 1 ? ` ${attempt}` : ''}`,
    )
    this.full = true
  }

  /** Takes what waits, once. */
  async read(): Promise<string[]> {
    this.full = false
    this.peer.drained()
    await soon()
    return this.take()
  }
}

async function withTen(options: Record<string, unknown> = {}, count = 10) {
  const parts = await testEngine()
  parts.engine.declare('q', options)
  const ann = new TestPeer(parts.engine, 'ann')
  for (let k = 0; k < count; k += 1) ann.publish('q', [LARGE])
  parts.journal.commitAll()
  ann.take()
  return { ...parts, ann, slow: new SlowPeer(parts.engine, 'slow') }
}

test('D11: what a consumer gets in one go is written in pieces as it reads, and the rest is not even looked up', async () => {
  const { slow, journal } = await withTen()
  slow.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 100 })
  const row = vi.spyOn(journal, 'row')
  await soon()
  const lookedUp = () => Math.max(...row.mock.calls.map(([, sequence]) => sequence))
  expect(slow.take()).toEqual(['1: 1+3'])
  expect(lookedUp()).toBe(3)
  expect(slow.peer.queue('q')).toMatchObject({ leased: 10 })
  expect(await slow.read()).toEqual(['1: 4+3'])
  expect(lookedUp()).toBe(6)
  expect(await slow.read()).toEqual(['1: 7+3'])
  expect(await slow.read()).toEqual(['1: 10+1'])
  expect(await slow.read()).toEqual([])
})

test('D11: a reader that takes all gets the pieces one after another', async () => {
  const { engine, ann } = await withTen()
  const sizes: number[] = []
  ann.deliver = ({ count }) => void sizes.push(count)
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 100 })
  await soon()
  for (let k = 0; k < 3; k += 1) await nextTurn()
  expect(sizes).toEqual([3, 3, 3, 1])
  expect(engine.find('q')).toMatchObject({ leased: 10 })
})

test('R9: others have their turn between the pieces of a reader that takes all, and of several such readers one goes on', async () => {
  const { engine, ann, journal } = await withTen()
  engine.declare('r', {})
  for (let k = 0; k < 10; k += 1) ann.publish('r', [LARGE])
  journal.commitAll()
  ann.take()
  const bob = new TestPeer(engine, 'bob')
  const seen: string[] = []
  ann.deliver = ({ delivery, count }) => void seen.push(`ann ${delivery}+${count}`)
  bob.deliver = ({ delivery, count }) => void seen.push(`bob ${delivery}+${count}`)
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 100 })
  bob.peer.subscribe({ subscription: 1, queue: 'r', prefetch: 100 })
  await soon()
  const turns: string[][] = [seen.splice(0)]
  for (let k = 0; k < 7; k += 1) {
    await nextTurn()
    turns.push(seen.splice(0))
  }
  expect(turns).toEqual([
    ['ann 1+3', 'bob 1+3'],
    ['ann 4+3'],
    ['bob 4+3'],
    ['ann 7+3'],
    ['bob 7+3'],
    ['ann 10+1'],
    ['bob 10+1'],
    [],
  ])
})

test('R9, B7: small deliveries make a stretch too, and what comes while somebody rests waits behind it', async () => {
  const { engine, ann, journal } = await withTen({}, 0)
  const bob = new TestPeer(engine, 'bob')
  const seen: string[] = []
  bob.deliver = ({ delivery, count }) => void seen.push(`${delivery}+${count}`)
  bob.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 100 })
  for (let k = 0; k < 4; k += 1) {
    // Of different groups, so that each is a delivery of its own.
    ann.publish('q', [['x'.repeat(100 * 1024), { group: `g${k}` }]])
    journal.commitAll()
  }
  await soon()
  expect(seen.splice(0)).toEqual(['1+1', '2+1', '3+1'])
  ann.publish('q', ['behind'])
  journal.commitAll()
  await soon()
  expect(seen).toEqual([])
  await nextTurn()
  expect(seen.splice(0)).toEqual(['4+1', '5+1'])
  // What went out in other turns does not count: nobody waited for that.
  for (let k = 0; k < 4; k += 1) {
    ann.publish('q', [['x'.repeat(100 * 1024), { group: `g${k + 10}` }]])
    journal.commitAll()
    await soon()
    expect(seen.splice(0)).toEqual([`${k + 6}+1`])
    await nextTurn()
  }
})

test('D11: a consumer whose socket fills up after a rest is given nothing more', async () => {
  const { ann, journal, engine } = await withTen()
  const bob = new TestPeer(engine, 'bob')
  bob.deliver = ({ delivery, count }) => {
    bob.heard.push(`${delivery}+${count}`)
    bob.full = bob.heard.length === 2
  }
  bob.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 100 })
  await soon()
  for (let k = 0; k < 3; k += 1) await nextTurn()
  expect(bob.heard).toEqual(['1+3', '4+3'])
  ann.publish('q', [LARGE])
  journal.commitAll()
  await soon()
  expect(ann.peer.queue('q')).toMatchObject({ ready: 1, leased: 10 })
  bob.full = false
  bob.peer.drained()
  for (let k = 0; k < 4; k += 1) await nextTurn()
  expect(bob.heard.slice(2)).toEqual(['7+3', '10+1', '11+1'])
})

test('R9: whoever is gone while he rests is sent nothing more', async () => {
  const { engine, ann } = await withTen()
  const bob = new TestPeer(engine, 'bob')
  bob.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 100 })
  await soon()
  expect(bob.take()).toHaveLength(1)
  bob.peer.close()
  await nextTurn()
  expect(bob.take()).toEqual([])
  expect(ann.peer.queue('q')).toMatchObject({ ready: 10, leased: 0 })
  ann.deliver = ({ delivery, count }) => void ann.heard.push(`${delivery}+${count}`)
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 100 })
  await soon()
  for (let k = 0; k < 3; k += 1) await nextTurn()
  expect(ann.take()).toEqual(['1+1', '2+2', '4+3', '7+3', '10+1'])
})

test('D11: of a full connection every subscription gets a piece in turn', async () => {
  const { engine, slow, ann, journal } = await withTen()
  engine.declare('r', {})
  for (let k = 0; k < 6; k += 1) ann.publish('r', [LARGE])
  journal.commitAll()
  slow.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 100 })
  slow.peer.subscribe({ subscription: 2, queue: 'r', prefetch: 100 })
  await soon()
  expect(slow.take()).toEqual(['1: 1+3'])
  const rounds: string[] = []
  for (let k = 0; k < 5; k += 1) rounds.push(...(await slow.read()))
  expect(rounds).toEqual(['1: 4+3', '2: 1+3', '1: 7+3', '2: 4+3', '1: 10+1'])
})

test('B7: a barrier and a lost lease wait behind what was given out before them', async () => {
  const { slow, ann, journal } = await withTen({ deadline_rest: 'carry' })
  ann.publish('q', [['', { barrier: { name: 'eof' } }], LARGE])
  journal.commitAll()
  slow.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 100 })
  await soon()
  expect(slow.take()).toEqual(['1: 1+3'])
  // The rest of the batch stays leased, and the barrier opens: it is behind all ten.
  ann.peer.operate('q', 2, 'release', () => {})
  ann.peer.cancelBarrier('q', 'eof', 'carry', () => {})
  journal.commitAll()
  await soon()
  const heard: string[] = []
  for (let k = 0; k < 6; k += 1) heard.push(...(await slow.read()))
  expect(heard).toEqual([
    '1: 4+3',
    '1: 7+3',
    '1: 10+1',
    '1: lost 2+1',
    '1: barrier eof cancelled',
    '1: 11+1 again',
    '1: 12+1',
  ])
})

test('D7: a lease runs while its message waits; what was never sent is no attempt, and nobody is told', async () => {
  const { engine, slow, clock, ann } = await withTen({ lease: '30s', deliveries_max: 1, dead_letter: 'drop' })
  slow.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 100 })
  await soon()
  expect(slow.take()).toEqual(['1: 1+3'])
  clock.advance(30_000)
  await soon()
  // Of the three that were sent the only attempt is over.
  expect(slow.peer.queue('q')).toMatchObject({ ready: 7, leased: 0 })
  ann.deliver = ({ delivery, count, redelivered, attempt }) =>
    void ann.heard.push(`${delivery}+${count} ${redelivered} ${attempt}`)
  ann.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 100 })
  await soon()
  for (let k = 0; k < 2; k += 1) await nextTurn()
  expect(ann.take()).toEqual(['1+3 false 1', '4+3 false 1', '7+1 false 1'])
  expect(await slow.read()).toEqual(['1: lost 1+3'])
  expect(engine.find('q')).toMatchObject({ leased: 7 })
})

test('D6: of a slow consumer that dies what was never sent returns as if nobody had had it', async () => {
  const { engine, slow } = await withTen()
  slow.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 100, concurrency: 5 })
  await soon()
  slow.peer.close()
  const next = new SlowPeer(engine, 'next')
  next.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 100 })
  await soon()
  const heard = next.take()
  for (let k = 0; k < 3; k += 1) heard.push(...(await next.read()))
  expect(heard).toEqual(['1: 1+3 again 2', '1: 4+3', '1: 7+3', '1: 10+1'])
})

test('D10: cancelling and a stop in peace keep sent and unsent apart too', async () => {
  const { engine, slow, journal, clock } = await withTen()
  slow.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 100 })
  await soon()
  slow.peer.unsubscribe(1)
  expect(await slow.read()).toEqual(['1: 1+3'])
  slow.peer.subscribe({ subscription: 2, queue: 'q', prefetch: 9 })
  await soon()
  expect([...slow.take(), ...(await slow.read())]).toEqual(['2: 1+3 again', '2: 4+3'])
  const closing = engine.close()
  journal.commitAll()
  await closing
  const second = await testEngine({ journal: journal.crash(), clock })
  const next = new SlowPeer(second.engine, 'next')
  next.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 100 })
  await soon()
  expect([...next.take(), ...(await next.read()), ...(await next.read())]).toEqual([
    '1: 1+3 again',
    '1: 4+3 again',
    '1: 7+3',
  ])
})

test('D11: what was settled by others while it waited is left out', async () => {
  const { slow, ann, journal } = await withTen()
  slow.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 100 })
  await soon()
  for (const sequence of [4, 6, 10]) ann.peer.operate('q', sequence, 'delete', () => {})
  journal.commitAll()
  const heard = slow.take()
  for (let k = 0; k < 4; k += 1) heard.push(...(await slow.read()))
  expect(heard).toEqual(['1: 1+3', '1: 5+1', '1: 7+3'])
})

test('D9, D11: at most once, no more than 1 MiB is taken out ahead of the socket', async () => {
  const { slow, journal } = await withTen({ semantics: 'at-most-once' }, 40)
  slow.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 100 })
  journal.commitAll()
  await soon()
  expect(slow.take()).toEqual(['1: 1+10'])
  // The ten that were written make room for ten more, which are not: the socket is full.
  const ready = () => (slow.peer.queue('q') as { ready: number }).ready
  const seen: (string | number)[] = []
  for (let k = 0; k < 8; k += 1) {
    journal.commitAll()
    await soon()
    seen.push(...(await slow.read()), ready())
  }
  expect(ready()).toBe(0)
  expect(seen.filter(entry => typeof entry === 'string')).toEqual(['1: 11+10', '1: 21+10', '1: 31+10'])
  expect(seen[0]).toBe('1: 11+10')
})

test('D9: at most once, a message larger than that goes out alone', async () => {
  const { ann, engine, journal } = await withTen({ semantics: 'at-most-once' }, 0)
  for (const size of [900, 1000, 200]) ann.publish('q', ['y'.repeat(size * 1024)])
  journal.commitAll()
  const next = new SlowPeer(engine, 'next')
  next.peer.subscribe({ subscription: 1, queue: 'q', prefetch: 100 })
  const heard: string[] = []
  for (let k = 0; k < 5; k += 1) {
    journal.commitAll()
    await soon()
    heard.push(...next.take(), ...(await next.read()))
  }
  expect(heard).toEqual(['1: 1+1', '1: 2+1', '1: 3+1'])
})
