import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatDuration, formatSize, parseDuration, parseSize } from '../../src/engine/units.ts'

test.each([
  ['500ms', 500],
  ['30s', 30_000],
  ['5m', 300_000],
  ['24h', 86_400_000],
  ['7d', 604_800_000],
  ['0', 0],
  ['0s', 0],
  [0, 0],
  [1500, 1500],
  ['36525d', 36_525 * 86_400_000],
])('%j is a duration of %d ms', (value, ms) => {
  expect(parseDuration(value)).toBe(ms)
})

test.each([
  '30',
  '30 s',
  ' 30s',
  '30S',
  '1.5h',
  '-1s',
  '+1s',
  '1h30m',
  's',
  '',
  '1e3s',
  '٣s',
  '30s\n',
  'toString',
  '1constructor',
  -1,
  1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  2 ** 60,
  true,
  null,
  undefined,
  [],
  ['30s'],
  {},
  Object.create(null),
])('%j is no duration, and the reason quotes it', value => {
  expect(parseDuration(value)).toEqual({
    problem: expect.stringMatching(/is not a duration: write 500ms, 30s, 5m, 24h or 7d$/),
  })
})

test('what TOML and JSON never give is no duration either', () => {
  for (const value of [10n, Symbol('s')]) expect(parseDuration(value)).toHaveProperty('problem')
})

test.each([
  ['0', 0],
  ['1024', 1024],
  ['1B', 1],
  ['64KiB', 65_536],
  ['1MiB', 2 ** 20],
  ['2GiB', 2 ** 31],
  ['1024TiB', 2 ** 50],
  [4096, 4096],
])('%j is a size of %d bytes', (value, bytes) => {
  expect(parseSize(value)).toBe(bytes)
})

test.each(['64KB', '64kib', '64k', '1.5MiB', '-1', '1 MiB', '', 1.5, -1, null])('%j is no size', value => {
  expect(parseSize(value)).toEqual({
    problem: expect.stringMatching(/is not a size: write bytes, 64KiB, 1MiB or 2GiB$/),
  })
})

test('what is too much to be meant is refused', () => {
  expect(parseDuration('36526d')).toEqual({ problem: '"36526d" is longer than 100 years' })
  expect(parseSize('1025TiB')).toEqual({ problem: '"1025TiB" is more than 1024 TiB' })
  expect(parseSize('9'.repeat(400))).toEqual({ problem: expect.stringMatching(/^"9{59}… is more than 1024 TiB$/) })
})

test('what is written is read as it was', () => {
  const duration = fc.nat({ max: 36_525 * 86_400_000 })
  fc.assert(fc.property(duration, ms => parseDuration(formatDuration(ms)) === ms))
  const size = fc.nat({ max: 2 ** 50 })
  fc.assert(fc.property(size, bytes => parseSize(formatSize(bytes)) === bytes))
  expect(['0', '90s', '1m', '1500ms', '2d']).toEqual([0, 90_000, 60_000, 1_500, 172_800_000].map(formatDuration))
  expect(['0B', '1000B', '64KiB', '3MiB']).toEqual([0, 1_000, 65_536, 3 * 2 ** 20].map(formatSize))
})
