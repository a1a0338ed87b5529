import { readFileSync } from 'node:fs'
import { afterAll, expect, test } from 'vitest'
import { Random } from '../support/random.ts'
import * as cases from './cases.ts'
import { someGarbage } from './garbage.ts'

/*
 * The load of `npm run hurt`, in sizes that fit into a minute or two. The bounds are those of docs/reliability.md; where
 * two times are compared they are of one run, and a fixed part is allowed for machines that do other things meanwhile.
 */

const figures: Record<string, object> = {}
const noted = <T extends object>(name: string, figure: T): T => {
  figures[name] = figure
  return figure
}
const say = (): void => {}
afterAll(() => console.log(`load: ${JSON.stringify(figures)}`))

/**
 * What the machine may add to a p99, in ms, when it runs other tests beside this. Of 800 messages in 4 s the p99 is the
 * eighth worst, so one pause of 50 ms shows whole; on 2 cores at a load of 8 to 16 it was 40 to 430 ms above what it was
 * before.
 */
const OTHERS_MS = 700

/** Two times that should be alike, in ms: twice as long at most, as docs/reliability.md asks, and what others add. */
function expectUnhurt({ p99Before, p99During }: { p99Before: number; p99During: number }): void {
  expect(p99During).toBeLessThan(2 * p99Before + OTHERS_MS)
}

test('D9: an idle connection costs less than 100 KB, and nothing of it is kept when it has gone', async ({ skip }) => {
  const connections = 500
  const filesMax = Number(/Max open files\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 0)
  if (filesMax < connections + 100) skip(`only ${filesMax} files may be open here; ulimit -n 2000 makes it possible`)
  const { kibEach, keptBytesEach, storms } = noted('idle', await cases.idle({ connections, storms: 4, say }))
  expect(storms.map(({ refused }) => refused)).toEqual([0, 0, 0, 0])
  expect(kibEach).toBeLessThan(100)
  // Of 1,500 that came and went; what the server compiled meanwhile is in it, some 600 bytes (11 at 9,000 connections).
  expect(keptBytesEach).toBeLessThan(2_048)
})

test('D8, R9: consumers that never read are cut, their messages come back, and others hardly notice', async () => {
  const figure = noted('slow-consumer', await cases.slowConsumer({ consumers: 2, seconds: 4, say }))
  expectUnhurt(figure)
  expect(figure.isValid).toBe(true)
  expect(figure.grownMib).toBeLessThan(40)
  // 30 s without anything taken, looked at now and then.
  expect(figure.cutAfterSeconds).toBeLessThan(45)
})

test('D11, R9: one consumer that does not read costs no more than what may be unsent, however much it may have', async () => {
  const { grownMib } = noted('one-frame', await cases.oneFrame({ messages: 7_000, say }))
  // At most 1 MiB and a piece are unsent of the 64 MiB that it may have; the rest is for what the collector has not seen.
  expect(grownMib).toBeLessThan(24)
})

test('D11, R5: in 256 MiB of heap publishers are stopped at the mark and go on after it; consumers never wait', async () => {
  const options = { publishers: 4, seconds: 15, backlogBytesMax: 256 * 2 ** 20, say }
  const figure = noted('fast-publisher', await cases.fastPublisher(options))
  expect(figure.isAlive).toBe(true)
  expect(figure.residentMibMax).toBeLessThan(900)
  expect(figure.publishedWhileStopped).toBeLessThanOrEqual(options.publishers * cases.EARLIER_CREDIT_MESSAGES)
  expect(figure.consumedWhileStopped).toBeGreaterThan(0)
  // One connection that publishes with its acks is not held up by its own publishes.
  expect(figure.carriedWhileStopped).toBeGreaterThan(0)
  expect(figure.resumedAfterMs).toBeLessThan(10_000)
})

test('D10, R3, R4: publishing, searching, leasing, restarting and a barrier do not mind what waits', async () => {
  const figure = noted('backlog', await cases.backlog({ messages: 60_000, say }))
  expect(figure.rateFull).toBeGreaterThan(figure.rateEmpty * 0.5)
  expect(figure.leasedByOne).toBeGreaterThan(0)
  expect(figure.firstPastUnmatchedMs).toBeLessThan(20_000)
  expect(figure.restartMs).toBeLessThan(30_000)
  expect(figure).toMatchObject({ barrierOutcome: 'clean', barrierPublished: expect.closeTo(1, 3) })
})

test('D10: a thousand queues are declared, written to, and there again after a kill', async () => {
  const figure = noted('queues', await cases.manyQueues({ queues: 1_000, say }))
  expect(figure.isThere).toBe(true)
  expect(figure.kibEach).toBeLessThan(60)
  expect(figure.restartMs).toBeLessThan(30_000)
})

test('D12: without a file left new connections are refused, old ones work, and new ones come in when there is room', async () => {
  const figure = noted('files', await cases.noFiles({ filesMax: 100, say }))
  expect(figure.refused).toBeGreaterThan(0)
  expect(figure.opened).toBeGreaterThan(20)
  expect(figure).toMatchObject({ oldStillWorks: true, worksAgain: true, isAlive: true })
})

test('E4: garbage from twenty connections hurts nobody', async () => {
  const seed = Number(process.env['SLUICE_FUZZ_SEED'] ?? Date.now() % 1_000_000)
  console.log(`garbage seed ${seed}: SLUICE_FUZZ_SEED=${seed} npx vitest run --project slow test/load`)
  const random = new Random(seed)
  const makeGarbage = (): Uint8Array => someGarbage(random)
  const figure = noted(
    'garbage',
    await cases.garbage({ connections: 20, perSecond: 500, seconds: 10, makeGarbage, say }),
  )
  expect(figure).toMatchObject({ isAlive: true, isValid: true })
  expect(figure.sent).toBeGreaterThan(50)
  expect(figure.grownMib).toBeLessThan(100)
  expectUnhurt(figure)
})
