import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Rows } from '../../src/journal/rows.ts'

const NOBODY = { emptied: () => {}, shrunk: () => {} }
const row = (first: number, count: number) => ({ first, count, batch: 1, at: 5, bodyBytes: 0, flags: 0 })

describe('the index of rows', () => {
  test('finds every message of many rows, and none that no row holds', () => {
    const rows = new Rows({ bytes: 0 })
    for (let index = 0; index < 5_000; index++) rows.append(row(index * 10 + 1, 7))
    for (let sequence = 0; sequence <= 50_010; sequence++) {
      const place = (sequence - 1) % 10
      const found = rows.find(sequence)?.first
      expect(found).toBe(sequence > 0 && sequence <= 50_000 && place < 7 ? sequence - place : undefined)
    }
  })

  test('after any pattern of settling it holds what a plain list holds', () => {
    const span = fc.record({
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      count: fc.integer({ min: 1, max: 9_000 }),
    })
    fc.assert(
      fc.property(fc.array(span, { maxLength: 30 }), fc.integer({ min: 1, max: 5 }), fc.nat(2), (spans, width, gap) => {
        const memory = { bytes: 0 }
        const rows = new Rows(memory)
        const live = new Map<number, number>()
        let next = 1
        const append = (rowCount: number): void => {
          for (let index = 0; index < rowCount; index++, next += width + gap) {
            rows.append(row(next, width), index % 3 === 0 ? new Uint8Array(8) : undefined)
            for (let at = 0; at < width; at++) live.set(next + at, next)
          }
        }
        append(3_000)
        for (const { at, count } of spans) {
          const first = 1 + Math.floor(at * next)
          const told: string[] = []
          rows.settle(first, count, {
            emptied: ({ first: name }) => told.push(`emptied ${name}`),
            shrunk: ({ first: name }) => told.push(`shrunk ${name}`),
          })
          const touched = new Set<number>()
          for (let sequence = first; sequence < first + count; sequence++) {
            const name = live.get(sequence)
            if (name === undefined) continue
            touched.add(name)
            live.delete(sequence)
          }
          const isGone = (name: number): boolean =>
            Array.from({ length: width }).every((_, index) => !live.has(name + index))
          expect(told).toEqual([...touched].map(name => `${isGone(name) ? 'emptied' : 'shrunk'} ${name}`))
          append(100)
        }
        let bytes = 0
        for (let sequence = 1; sequence < next; sequence++) {
          const found = rows.find(sequence)
          const isLive = found !== undefined && rows.isLive(found, sequence)
          if (isLive !== live.has(sequence)) expect.fail(`message ${sequence}`)
          if (found?.first === sequence) bytes += rows.bytes(found)?.length ?? 0
        }
        expect(memory.bytes).toBe(bytes)
      }),
      { numRuns: 30 },
    )
  })

  test('R4: a row costs at most 40 bytes, and a few that stay do not keep the rest', async () => {
    const rows = new Rows({ bytes: 0 })
    const before = arrayBytes()
    for (let index = 0; index < 1_000_000; index++) rows.append(row(index + 1, 1))
    // The collector gives array buffers back a little later.
    await expect.poll(() => (arrayBytes() - before) / 1_000_000).toBeLessThan(40)
    for (let index = 0; index < 1_000; index++) rows.settle(index * 1_000 + 2, 999, NOBODY)
    expect(rows.find(500_001)?.first).toBe(500_001)
    await expect.poll(() => (arrayBytes() - before) / 1_000).toBeLessThan(400)
    rows.settle(1, 1_000_000, NOBODY)
    await expect.poll(() => arrayBytes() - before).toBeLessThan(100_000)
  })

  test('a row joined from pieces gives them back as one', () => {
    const memory = { bytes: 0 }
    const rows = new Rows(memory)
    rows.append(row(1, 1), Uint8Array.of(1))
    rows.extend(row(2, 2), Uint8Array.of(2, 3))
    rows.extend(row(4, 1), Uint8Array.of(4))
    const found = rows.append(row(9, 1), Uint8Array.of(9))
    expect([rows.find(4)?.first, rows.find(5), found.first]).toEqual([1, undefined, 9])
    expect([...rows.bytes(rows.find(3)!)!]).toEqual([1, 2, 3, 4])
    expect(memory.bytes).toBe(5)
    rows.settle(1, 9, NOBODY)
    expect([memory.bytes, rows.newest()]).toEqual([0, undefined])
  })

  test('messages come in rising order', () => {
    const rows = new Rows({ bytes: 0 })
    rows.append(row(5, 5))
    expect(() => rows.append(row(9, 1))).toThrow(RangeError)
  })
})

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** After a collection. */
function arrayBytes(): number {
  collect()
  return process.memoryUsage().arrayBuffers
}
