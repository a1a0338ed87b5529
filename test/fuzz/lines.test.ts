import { expect } from 'vitest'
import { lineOf } from '../../clients/cli/src/lines.ts'
import { readLines } from '../../clients/cli/src/ndjson.ts'
import { LineSplitter } from '../../src/listeners/http/line-splitter.ts'
import type { Random } from '../support/random.ts'
import { split } from './bytes.ts'
import { fuzz, printable, same } from './harness.ts'

const BYTES_MAX = 20
const PIECES = [
  '\n',
  '\r\n',
  '\r',
  '{"a":1}',
  ' ',
  '\t',
  '',
  'x'.repeat(BYTES_MAX),
  'x'.repeat(BYTES_MAX + 1),
  'é',
  '\0',
  '"',
]

const someText = (random: Random): string =>
  Array.from({ length: random.below(12) }, () => random.of(PIECES)).join(random.of(['', '', '\n']))

/** What lines are, in one step. */
function linesOf(text: string): { number: number; text: string }[] {
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  return lines.map((line, index) => ({ number: index + 1, text: line.replace(/\r$/, '') }))
}

const isBlank = (text: string): boolean => /^[ \t]*$/.test(text)
let tooLong = 0

fuzz<string>({
  title: 'P8: a body of lines is the same lines however its bytes are split, and holds no more than a line of it',
  crafted: {
    nothing: '',
    'an end alone': '\n',
    'a return alone': '\r',
    'a line too long by one': `${'x'.repeat(BYTES_MAX)}\r\r\n`,
  },
  make: someText,
  run: (text, random) => {
    const splitter = new LineSplitter(BYTES_MAX)
    const found: string[] = []
    const take = ({ number, bytes }: { number: number; bytes: Uint8Array | undefined }): void => {
      if (!bytes) tooLong++
      found.push(`${number} ${bytes ? Buffer.from(bytes).toString() : 'too long'}`)
    }
    for (const piece of split(Buffer.from(text), random)) {
      for (const line of splitter.push(piece)) take(line)
      same(splitter.heldBytes <= BYTES_MAX + 1, true, 'bytes held are bounded')
    }
    const last = splitter.end()
    if (last) take(last)
    const wanted = linesOf(text).map(({ number, text: line }) => {
      return `${number} ${Buffer.byteLength(line) > BYTES_MAX ? 'too long' : line}`
    })
    same(found.join('|'), wanted.join('|'))
  },
  show: printable,
  reached: () => expect(tooLong).toBeGreaterThan(20),
})

fuzz<string>({
  title: 'the command line reads the same lines however the bytes of a file are split',
  share: 0.25,
  make: someText,
  run: async (text, random) => {
    const found: string[] = []
    for await (const lines of readLines(chunksOf(split(Buffer.from(text), random))))
      for (const { number, bytes } of lines) found.push(`${number} ${Buffer.from(bytes).toString()}`)
    const wanted = linesOf(text).filter(({ text: line }) => !isBlank(line))
    same(found.join('|'), wanted.map(({ number, text: line }) => `${number} ${line}`).join('|'))
  },
  show: printable,
})

async function* chunksOf(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces
}

fuzz<string>({
  title: 'a body that is JSON leaves the command line as one line that says the same',
  make: random => {
    const json = JSON.stringify({ a: [1, 'x\n', { 'ü\r': null }], b: random.below(100) }, undefined, random.below(3))
    return random.chance(0.5) ? json : someText(random)
  },
  run: text => {
    const line = Buffer.from(lineOf(Buffer.from(text))).toString()
    same(line.endsWith('\n'), true)
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      // No JSON keeps its line breaks and gets one at the end, if it had none.
      same(line, text.endsWith('\n') ? text : `${text}\n`)
      return
    }
    same(line.indexOf('\n'), line.length - 1)
    same(JSON.stringify(JSON.parse(line)), JSON.stringify(value))
  },
  show: printable,
})
