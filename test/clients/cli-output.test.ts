import { PassThrough } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { drawBar, type Step } from '../../clients/cli/src/bar.ts'
import { count, elapsed } from '../../clients/cli/src/format.ts'
import { lineOf } from '../../clients/cli/src/lines.ts'
import { Meter } from '../../clients/cli/src/meter.ts'
import { readLines } from '../../clients/cli/src/ndjson.ts'
import { Talk } from '../../clients/cli/src/talk.ts'

const half: Step = {
  label: 'publish',
  fraction: 0.5,
  parts: ['694,002 / 1,204,331', '3,910/s', '0 refused', '25s'],
  report: { phase: 'publish', accepted: 694_002 },
}

describe('the bar', () => {
  test('shows the share, then what fits of the rest', () => {
    expect(drawBar(half, 100)).toBe(
      ' publish  █████████████░░░░░░░░░░░░░  694,002 / 1,204,331   3,910/s   0 refused   25s',
    )
    expect(drawBar(half, 60)).toBe(' publish  █████████░░░░░░░░░  694,002 / 1,204,331   3,910/s')
    expect(drawBar(half, 20)).toBe(' publish  ████░░░░')
  })

  test('counts in eighths of a column, and never beyond its ends', () => {
    expect(drawBar({ ...half, fraction: 0.01, parts: [] }, 100)).toMatch(/^ publish {2}▎░{25}$/)
    expect(drawBar({ ...half, fraction: 7, parts: [] }, 100)).toMatch(/^ publish {2}█{26}$/)
    expect(drawBar({ ...half, fraction: -1, parts: [] }, 100)).toMatch(/^ publish {2}░{26}$/)
  })

  test.each([30, 40, 60, 80, 120, 200])('is never as wide as a terminal of %i columns', columns => {
    expect(drawBar(half, columns).length).toBeLessThan(columns)
  })

  test('is left out while nobody knows how much there is', () => {
    const { fraction: _, ...unknown } = half
    expect(drawBar(unknown, 100)).toBe(' publish  694,002 / 1,204,331   3,910/s   0 refused   25s')
  })
})

describe('talk', () => {
  function talking(progress: 'bar' | 'json' | 'none'): { talk: Talk; said: () => string } {
    const stream = new PassThrough()
    return { talk: new Talk(stream, { progress, color: false }), said: () => String(stream.read() ?? '') }
  }

  test('sentences go above the bar, which stays in the last line', () => {
    const { talk, said } = talking('bar')
    const finish = talk.progress(() => ({ ...half, parts: [] }))
    talk.say('a sentence')
    finish()
    const bar = ' publish  █████████████░░░░░░░░░░░░░'
    expect(said()).toBe(`\r\u001b[K${bar}\r\u001b[Ka sentence\n\r\u001b[K${bar}\r\u001b[K${bar}\n`)
  })

  test('programs get a document a line, and the last state too', () => {
    const { talk, said } = talking('json')
    talk.progress(() => half)()
    expect(said()).toBe('{"phase":"publish","accepted":694002}\n')
  })

  test('a pipe gets the sentences only', () => {
    const { talk, said } = talking('none')
    const finish = talk.progress(() => half)
    talk.done('done')
    finish()
    expect(said()).toBe(' ✔ done\n')
  })
})

test('numbers are for reading', () => {
  expect(count(1_204_331)).toBe('1,204,331')
  expect([400, 9_949, 25_000, 308_000, 7_320_000].map(elapsed)).toEqual(['0.4s', '9.9s', '25s', '5m08s', '2h02m'])
})

test('a rate is that of the last seconds', () => {
  const meter = new Meter()
  expect(meter.rate(0, 0)).toBe(0)
  expect(meter.rate(1_000, 1_000)).toBe(1_000)
  for (let second = 2; second <= 10; second++) meter.rate(1_000, second * 1_000)
  expect(meter.rate(1_000, 11_000)).toBe(0)
})

describe('lines of a file', () => {
  async function lines(...chunks: string[]): Promise<string[]> {
    const found: string[] = []
    for await (const some of readLines(chunks.map(chunk => Buffer.from(chunk)) as never)) {
      for (const { number, bytes } of some) found.push(`${number}:${Buffer.from(bytes)}`)
    }
    return found
  }

  test('are the same however the file is cut', async () => {
    const text = '{"a":1}\n\n  \r\n{"é":"€"}\r\n{"c":3}'
    const expected = ['1:{"a":1}', '4:{"é":"€"}', '5:{"c":3}']
    expect(await lines(text)).toEqual(expected)
    expect(await lines(...text)).toEqual(expected)
    for (let at = 0; at < text.length; at++) expect(await lines(text.slice(0, at), text.slice(at))).toEqual(expected)
  })

  test('an empty file has none, and a line end at the end begins none', async () => {
    expect(await lines()).toEqual([])
    expect(await lines('')).toEqual([])
    expect(await lines('x\n')).toEqual(['1:x'])
  })
})

test('a body is a line: JSON over several lines is put on one, other text stays as it is', () => {
  const written = (body: string) => Buffer.from(lineOf(Buffer.from(body))).toString()
  expect(written('hello')).toBe('hello\n')
  expect(written('hello\n')).toBe('hello\n')
  expect(written('{\r\n  "a": 1\n}')).toBe('{    "a": 1 }\n')
  expect(written('two\nlines')).toBe('two\nlines\n')
  expect(written('')).toBe('\n')
})
