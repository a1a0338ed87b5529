import { expect, test } from 'vitest'
import {
  drawTop,
  type TopBarrier,
  type TopQueue,
  type TopState,
  type TopView,
} from '../../clients/cli/src/top-screen.ts'
import { startServer } from './cli-support.ts'

const plain = (_: unknown, text: string) => text

function queue(name: string, more: Partial<TopQueue> = {}): TopQueue {
  const none = { isPaused: false, ready: 0, leased: 0, delayed: 0, inRate: 0, ackRate: 0, consumers: 0, barriers: 0 }
  return { name, ...none, ...more }
}

function barrier(name: string, more: Partial<TopBarrier> = {}): TopBarrier {
  const rest = { done: 50, all: 200, isGathering: false, ratePerSecond: 10, etaMs: 15_000 }
  return { queue: 'sales', name, ...rest, ...more }
}

function view(queues: readonly TopQueue[], barriers: readonly TopBarrier[] = []): TopView {
  return { server: 'ws://127.0.0.1:7420', trouble: undefined, queues, barriers }
}

function start(more: Partial<TopState> = {}): TopState {
  return { sort: 1, isReversed: false, offset: 0, ...more }
}

test('a screen of 80 by 24 holds head, queues, barriers and keys', () => {
  const queues = [
    queue('sales', { ready: 1_234_567, leased: 100, inRate: 48_200.4, ackRate: 3_999.6, consumers: 8, barriers: 1 }),
    queue('mails', { isPaused: true, ready: 12_345_678_901 }),
    queue('hidden', { ready: Number.NaN }),
  ]
  const lines = drawTop(view(queues, [barrier('eof-2026-11-20')]), start(), { columns: 80, rows: 24 }, plain)
  expect(lines).toHaveLength(24)
  expect(lines.filter(line => line !== '')).toEqual([
    ' ws://127.0.0.1:7420   3 queues   1 barrier   in 48,200/s   acked 4,000/s',
    ' QUEUE                     READY▼  LEASED  DELAYED    IN/S   ACK/S  CONS  BARR',
    ' mails (paused)             12.3G       0        0       0       0     0     0',
    ' sales                       1.2M     100        0  48,200   4,000     8     1',
    ' hidden                         ?       0        0       0       0     0     0',
    ' BARRIERS',
    ' sales eof-2026-11-20 ██████▌░░░░░░░░░░░░░░░░░░░  150 left   15s to go   10/s',
    ' q quit   ←→ sort by   r reverse   ↑↓ scroll',
  ])
})

test('no line is wider than the screen and no screen higher, whatever is shown on whatever size', () => {
  const many = Array.from({ length: 300 }, (_, n) => queue(`${'q'.repeat(n)}\u001b[2J`, { ready: 10 ** (n % 16) }))
  const barriers = Array.from({ length: 50 }, (_, n) =>
    barrier('b'.repeat(n * 3 + 1), { all: n * 1_000_003, isGathering: n % 2 === 0, etaMs: n * 1e7 }),
  )
  for (const columns of [40, 60, 80, 133, 300]) {
    for (const rows of [8, 12, 24, 70]) {
      for (let sort = 0; sort < 8; sort += 1) {
        const lines = drawTop(view(many, barriers), start({ sort, offset: 1_000 }), { columns, rows }, plain)
        expect(lines.length).toBeLessThanOrEqual(rows)
        expect(Math.max(...lines.map(line => [...line].length))).toBeLessThanOrEqual(columns)
        expect(lines.join('')).not.toContain('\u001b')
        expect(lines.at(-1)).toContain('q quit')
      }
    }
  }
})

test('it scrolls, no further than the last queue, and sorts by any column both ways', () => {
  const queues = Array.from({ length: 30 }, (_, n) => queue(`q${String(n).padStart(2, '0')}`, { ready: n % 10 }))
  const size = { columns: 80, rows: 12 }
  const names = (state: TopState) =>
    drawTop(view(queues), state, size, plain).flatMap(line => /^ (q\d\d) /.exec(line)?.[1] ?? [])
  const state = start()
  expect(names(state)).toEqual(['q09', 'q19', 'q29', 'q08', 'q18', 'q28', 'q07', 'q17'])
  state.offset = 99
  expect(names(state).at(-1)).toBe('q20')
  expect(state.offset).toBe(22)
  expect(names(start({ isReversed: true })).slice(0, 4)).toEqual(['q00', 'q10', 'q20', 'q01'])
  expect(names(start({ sort: 0 }))[0]).toBe('q00')
  expect(names(start({ sort: 0, isReversed: true }))[0]).toBe('q29')
  expect(drawTop(view(queues), start({ offset: 3 }), size, plain).at(-1)).toContain('4–11 of 30')
})

test('what is wrong stands in the first line', () => {
  const trouble = { ...view([queue('a')]), trouble: 'this is 2.5s old: unreachable' }
  expect(drawTop(trouble, start(), { columns: 80, rows: 24 }, plain)[0]).toBe(' ✖ this is 2.5s old: unreachable')
})

test('where there is no terminal it is said once, as a table or as JSON, and that is all', async () => {
  await using server = await startServer()
  await server.run(['queue', 'declare', 'sales'])
  await server.run(['publish', 'sales', '1', '--barrier=eod'])
  const table = await server.run(['top'])
  expect(table).toMatchObject({ exitCode: 0, stderr: '' })
  expect(table.stdout).toBe('QUEUE\tREADY\tLEASED\tDELAYED\tIN/S\tACK/S\tCONS\tBARR\nsales\t1\t0\t0\t0\t0\t0\t1\n')
  const { stdout } = await server.run(['top', '--json'])
  expect(JSON.parse(stdout)).toEqual({
    queues: [expect.objectContaining({ name: 'sales', ready: 1, published_per_second: 0, barriers_waiting: 1 })],
    barriers: [{ queue: 'sales', name: 'eod', state: 'waiting', done: 0, all: 1, rate_per_second: null, eta_ms: null }],
  })
})

test('a server that is not there is told at once', async () => {
  await using server = await startServer()
  expect(await server.run(['top', '--url', 'ws://127.0.0.1:1'])).toMatchObject({ exitCode: 5 })
})
