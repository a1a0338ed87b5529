import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parse } from 'smol-toml'
import { afterAll, expect } from 'vitest'
import { ConfigError } from '../../src/config/config.ts'
import { readServeFlags, UsageError } from '../../src/config/flags.ts'
import { loadConfig } from '../../src/config/load.ts'
import { findPlaces } from '../../src/config/places.ts'
import { QUEUE_OPTIONS, SETTINGS, WEBHOOK_SETTINGS } from '../../src/config/settings.ts'
import { formatDuration, formatSize, parseDuration, parseSize } from '../../src/engine/units.ts'
import type { Random } from '../support/random.ts'
import { damageText } from './bytes.ts'
import { fuzz, printable, same } from './harness.ts'

const FOLDER = mkdtempSync(path.join(tmpdir(), 'sluice-fuzz-'))
const FILE = path.join(FOLDER, 'sluice.toml')
afterAll(() => rmSync(FOLDER, { recursive: true }))

const KEYS = [...Object.values(SETTINGS).map(({ key }) => key), 'queue', 'nonsense', '"quoted.key"', '__proto__', 'a.b']
const VALUES = [
  '1',
  '-1',
  '0x10',
  '1e400',
  'nan',
  'true',
  '"30s"',
  '"64KiB"',
  '""',
  '"127.0.0.1:0"',
  '"[::1]:7420"',
  "'lit'",
  '"""a\n"b"\n"""',
  "'''x\n'''",
  '[1, "a", []]',
  '[\n  "a", # c\n]',
  '{ a = 1, b.c = "#" }',
  '1979-05-27T07:32:00Z',
  '"\\u00e9"',
]
const MEANING = [
  '=',
  '[',
  ']',
  '[[queue]]\n',
  '"',
  '"""',
  "'",
  '\n',
  '#',
  '{',
  '}',
  ',',
  '.',
  ' ',
  '\\',
  'é',
  '\r\n',
  '\ufeff',
]
const reached = { loaded: 0, refused: 0, parsed: 0 }

function someToml(random: Random): string {
  const pair = (keys: readonly string[]): string =>
    `${random.of(keys)}${random.of([' = ', '=', ' =\t'])}${random.of(VALUES)}${random.of(['\n', ' # x\n', '\n\n'])}`
  const pairs = (most: number, keys: readonly string[]): string =>
    Array.from({ length: random.below(most + 1) }, () => pair(keys)).join('')
  const queue = (): string => `[[queue]]\nname = "q${random.below(3)}"\n${pairs(3, [...QUEUE_OPTIONS, 'leese', 'a.b'])}`
  const webhook = (): string =>
    `[[webhook]]\n${pairs(
      4,
      Object.values(WEBHOOK_SETTINGS).map(({ key }) => key),
    )}queue = "q${random.below(2)}"\n`
  return (
    pairs(3, KEYS) +
    Array.from({ length: random.below(3) }, queue).join('') +
    Array.from({ length: random.below(2) }, webhook).join('')
  )
}

fuzz<string>({
  title: 'any text in a configuration file is read, or refused with the line and column of what is wrong',
  share: 0.2,
  crafted: {
    'a byte order mark': '\ufeffmemory = true',
    'a table for the prototype': '[__proto__]\na = 1',
    'the prototype in a dotted key': 'constructor.prototype.x = 1',
    'lists without end': `a = ${'['.repeat(30_000)}`,
    'tables in tables': `a = ${'{ a = '.repeat(10_000)}`,
    'dots without end': `${'a.'.repeat(30_000)}a = 1`,
    'a header without end': `[${'a.'.repeat(30_000)}`,
    'quotes without end': '"'.repeat(60_000),
    'ten thousand queues of one name': '[[queue]]\nname = "q"\n'.repeat(2_500),
    'not a text': '\0\0\0\0',
  },
  make: random => (random.chance(0.5) ? someToml(random) : damageText(someToml(random), random, MEANING)),
  run: text => {
    writeFileSync(FILE, text)
    try {
      const { origins } = loadConfig({ file: FILE })
      reached.loaded++
      const lines = text.split('\n')
      for (const [key, origin] of Object.entries(origins)) {
        const place = /:(\d+):(\d+)$/.exec(origin)
        if (place) same(lines[Number(place[1]) - 1] !== undefined, true, `the line of ${key}, ${origin}`)
      }
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      reached.refused++
      same(error.problems.length > 0, true)
      for (const problem of error.problems)
        if (!problem.startsWith(FILE)) throw new Error(`without a place: ${problem}`)
    }
  },
  show: printable,
  reached: () => {
    expect(reached.loaded).toBeGreaterThan(20)
    expect(reached.refused).toBeGreaterThan(20)
  },
})

fuzz<string>({
  title: 'each key of a document is found where it stands',
  share: 0.3,
  make: random => (random.chance(0.7) ? someToml(random) : damageText(someToml(random), random, MEANING)),
  run: text => {
    let root: object
    try {
      root = parse(text, { maxDepth: 16 })
    } catch {
      return
    }
    reached.parsed++
    const places = findPlaces(text)
    const lines = text.split('\n')
    for (const key of Object.keys(root)) {
      if (!/^[a-z_]+$/.test(key)) continue
      const place = places.get(key) ?? places.get(`${key}.0`)
      if (!place) throw new Error(`${key} is nowhere`)
      const line = lines[place.line - 1]?.slice(place.column - 1) ?? ''
      same(/^(\[\[?\s*)?["']?/.test(line) && line.includes(key), true, `${key} at ${place.line}:${place.column}`)
    }
  },
  show: printable,
  reached: () => expect(reached.parsed).toBeGreaterThan(20),
})

const UNITS = [
  'ms',
  's',
  'm',
  'h',
  'd',
  'B',
  'KiB',
  'MiB',
  'GiB',
  'TiB',
  'KB',
  'S',
  '',
  ' s',
  'µs',
  '__proto__',
  'toString',
]
const NUMBERS = ['0', '1', '30', '007', '-1', '1.5', '1e3', '9'.repeat(15), '9'.repeat(17), '9'.repeat(400), '٣', '']

fuzz<unknown>({
  title: 'any value is a duration or a size within bounds that is written as it was read, or the reason why not',
  make: random => {
    if (random.chance(0.2))
      return random.of([0, 1, -1, 1.5, 1e300, Number.NaN, null, undefined, true, [], {}, 30n, new Date(0)])
    const text = random.of(NUMBERS) + random.of(UNITS)
    return random.chance(0.3) ? damageText(text, random, [...UNITS, ...NUMBERS]) : text
  },
  run: value => {
    for (const [read, write, max] of [
      [parseDuration, formatDuration, 36_525 * 86_400_000],
      [parseSize, formatSize, 2 ** 50],
    ] as const) {
      const result = read(value)
      if (typeof result !== 'number') {
        same(typeof result.problem, 'string')
        continue
      }
      same(Number.isSafeInteger(result) && result >= 0 && result <= max, true, String(result))
      same(read(write(result)), result, write(result))
    }
  },
  show: value => (typeof value === 'string' ? printable(value) : String(value)),
})

const ARGUMENTS = [
  '--config',
  '--data',
  '--listen',
  '--memory',
  '--help',
  '-h',
  '--',
  '--data=',
  '--memory=1',
  '-x',
  'serve',
  '',
  '-',
  '--__proto__',
  '--config=a',
  'x',
]

fuzz<readonly string[]>({
  title: 'any command line is understood, or refused as usage',
  share: 0.3,
  make: random => Array.from({ length: random.below(6) }, () => random.of(ARGUMENTS)),
  run: args => {
    try {
      readServeFlags(args, {})
    } catch (error) {
      if (!(error instanceof UsageError)) throw error
    }
  },
  show: args => printable(args.join(' ')),
})
