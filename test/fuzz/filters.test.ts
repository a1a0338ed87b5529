import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { compileFilter, FilterError } from '../../src/filters/index.ts'
import { message } from '../filters/support.ts'
import { Random } from '../support/random.ts'
import { damage, damageText, randomBytes } from './bytes.ts'
import { someJson, someTree, write, writeJson } from './filter-trees.ts'
import { fuzz, printable, same } from './harness.ts'
import { evaluate, first, type Json, numberOf, type PlainMessage, type Tree, textOf, truthOf } from './plain-filters.ts'

const BODIES_EACH = 5
const reached = { true: 0, false: 0, numbers: 0, texts: 0, tooDeep: 0, compiled: 0, refused: 0, patterns: 0 }

interface Pairs {
  readonly tree: Tree
  readonly expression: string
  readonly bodies: readonly { readonly json: Json | undefined; readonly text: string }[]
}

const PROPERTIES = { priority: 3, message_id: 'ab', group: '', content_type: 'x', reply_to: '5' } as const
const HEADERS = { x: '5', é: true } as const

fuzz<Pairs>({
  title: 'an expression says of a body what a plain reading of the language says of it',
  // An input is a pair of an expression and a body.
  share: 1 / BODIES_EACH,
  make: random => {
    const tree = someTree(random)
    const bodies = Array.from({ length: BODIES_EACH }, () => {
      const json = someJson(random)
      const text = writeJson(json, random)
      return random.chance(0.03) ? { json: undefined, text: `${text}${random.of([',', ']', ' 1'])}` } : { json, text }
    })
    return { tree, expression: write(tree, random), bodies }
  },
  run: ({ tree, expression, bodies }) => {
    let filter: ReturnType<typeof compileFilter>
    try {
      filter = compileFilter(expression)
    } catch (error) {
      // Written from a tree it is right; but it may be deeper or larger than an expression may be.
      if (!(error instanceof FilterError) || !/levels of nesting|at most 256 parts/.test(error.message)) throw error
      reached.tooDeep++
      return
    }
    for (const { json, text } of bodies) {
      const subject = message(text, { properties: PROPERTIES, headers: HEADERS })
      const plain: PlainMessage = {
        body: json,
        size: Buffer.byteLength(text),
        properties: PROPERTIES,
        headers: HEADERS,
      }
      const value = evaluate(tree, plain)
      const wanted = truthOf(value) === true
      same(filter.matches(subject), wanted, text)
      const number = numberOf(first(value))
      const wantedNumber = number === undefined || Number.isNaN(number) ? undefined : Number(number)
      same(filter.number(subject), wantedNumber, `the number of ${text}`)
      const bytes = textOf(first(value))
      const wantedText = bytes === undefined ? undefined : Buffer.from(bytes, 'latin1').toString()
      same(filter.string(subject), wantedText, `the text of ${text}`)
      reached[wanted ? 'true' : 'false']++
      if (wantedNumber !== undefined) reached.numbers++
      if (wantedText !== undefined) reached.texts++
    }
  },
  show: ({ expression, bodies }) => `${expression}\n${bodies.map(({ text }) => text).join('\n')}`,
  reached: () => {
    for (const what of ['true', 'false', 'numbers', 'texts'] as const)
      expect(reached[what], what).toBeGreaterThan((reached.true + reached.false) / 50)
  },
})

const WORDS =
  `( ) , + - * / % = == != <> < <= > >= AND OR NOT BETWEEN IN LIKE BEGINS ENDS WITH IS NULL NAN MOD /a /a/b /c[0] /c[1
  [/a b] [/$priority] [/$header/x] [/$ [/ 1 1.5 1e400 99999999999999999999 0 'x' "y" r'z' '' 'a\\' '(' '(?i)x' UPPER( INSTR( IF(
  CONCAT( SUBSTR( STRFTIME('%Y', REGEXP_MATCH( ARRAY_COUNT( CHAR_VALUE( NOPE( é ; \\ ' "`.split(/\s+/)
const CASES = readFileSync(new URL('../filters/filter-cases.tsv', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n')
  .slice(1)
  .map(line => line.split('\t')[2] ?? '')
const BODIES = [
  '{"a":1}',
  '{"a":{"b":["x",null]},"c":[1,"2",3.5]}',
  '[1',
  '',
  '"\\ud800"',
  '{"a":"x","a b":1e400}',
].map(body => message(body, { properties: { priority: 3 }, headers: { x: 'y' } }))

const deep = (open: string, close: string, count: number): string => `${open.repeat(count)}1${close.repeat(count)} = 1`

fuzz<string>({
  title: 'any text compiles or is refused with a column in it, and what compiles answers whatever the body',
  share: 0.5,
  crafted: {
    'parentheses without end': deep('(', ')', 2_000),
    'NOT without end': deep('NOT ', '', 2_000),
    'minus without end': deep('-', '', 4_000),
    'calls without end': deep('UPPER(', ')', 500),
    'a list of a thousand': `/a IN (${'1,'.repeat(999)}1)`,
    'a list of a thousand and one': `/a IN (${'1,'.repeat(1_000)}1)`,
    'AND a thousand times': `${'/a = 1 AND '.repeat(300)}/a = 1`,
    'a quote that never ends': "/a = 'x",
    backslashes: `/a = '${'\\'.repeat(4_000)}'`,
    'a bracket that never ends': '[/a'.repeat(1_000),
    'zero and a thousand digits': `/a = ${'9'.repeat(4_000)}`,
    'an exponent of a thousand digits': `/a = 1e${'9'.repeat(4_000)}`,
    'a lone surrogate': '/\ud800 = 1',
    'more than 4 KiB': `/a = '${'x'.repeat(5_000)}'`,
  },
  make: random => {
    const dice = random.below(10)
    if (dice < 4) {
      const count = random.between(1, 9)
      return Array.from({ length: count }, () => random.of(WORDS)).join(random.chance(0.2) ? '' : ' ')
    }
    if (dice < 8) return damageText(random.of(CASES), random, WORDS)
    if (dice < 9) return damageText(write(someTree(random), random), random, WORDS)
    const codes = Array.from({ length: random.below(30) }, () =>
      random.chance(0.12) ? random.below(0x10000) : random.between(32, 126),
    )
    return String.fromCharCode(...codes)
  },
  run: text => {
    try {
      const filter = compileFilter(text)
      reached.compiled++
      for (const body of BODIES) {
        same(typeof filter.matches(body), 'boolean')
        filter.number(body)
        filter.string(body)
      }
    } catch (error) {
      if (!(error instanceof FilterError)) throw error
      reached.refused++
      if (error.column < 1 || error.column > [...text].length + 1) throw new Error(`column ${error.column}`)
    }
  },
  show: printable,
  reached: () => {
    expect(reached.compiled).toBeGreaterThan(20)
    expect(reached.refused).toBeGreaterThan(20)
  },
})

const PATTERN_PARTS =
  'a|é|.|*|+|?|{2}|{0,300}|(|)|(?i)|(?x)|(?|[|]|[^|\\|\\Q|\\E|\\x|41|{|^|$| |#|\\d|[:alpha:]|-|(a*)*|(a+)+|.*|{9}|{1000}'.split(
    '|',
  )
const SUBJECT = message(JSON.stringify({ s: `aé A#41 \n${'ab '.repeat(50)}` }))

fuzz<string>({
  title: 'any pattern is refused or runs, and none runs long',
  share: 0.05,
  crafted: {
    'nested stars': '((((a*)*)*)*)*b',
    'a thousand alternatives': `(${'a|'.repeat(100)}b)*$`,
    'counted repeats of counted repeats': '((a{0,30}){0,30}){0,30}b',
    'any a any a any a': `${'.*a'.repeat(60)}b`,
  },
  make: random => {
    const parts = Array.from({ length: random.between(1, 8) }, () => random.of([...PATTERN_PARTS, '|']))
    return `${random.chance(0.25) ? '(?ix)' : ''}${parts.join('')}`
  },
  run: pattern => {
    const expression = `/s LIKE "${pattern}" OR REGEXP_REPLACE(/s, "${pattern}", 'x') = 1`
    try {
      const filter = compileFilter(expression)
      reached.patterns++
      same(typeof filter.matches(SUBJECT), 'boolean')
    } catch (error) {
      if (!(error instanceof FilterError)) throw error
    }
  },
  show: printable,
  reached: () => expect(reached.patterns).toBeGreaterThan(20),
})

const READS = compileFilter("/a IS NULL OR 1 = 1 OR /k9/b = 'x'")
const many = (count: number, one: (index: number) => string): string =>
  Array.from({ length: count }, (_, i) => one(i)).join(',')

fuzz<Uint8Array>({
  title: 'a body matches only if all of it is JSON, as another reader of JSON sees it',
  crafted: Object.fromEntries(
    Object.entries({
      keys: `{${many(5_000, index => `"k${index}":${index}`)}}`,
      elements: `{"a":[${'1,'.repeat(30_000)}1]}`,
      escapes: `{"a":"${'\\u00e9'.repeat(10_000)}"}`,
      digits: `{"a":${'9'.repeat(64_000)}}`,
      'digits in a text': `{"a":"${'9'.repeat(64_000)}"}`,
      objects: `[${'{"a":1},'.repeat(8_000)}0]`,
      'one key again and again': `{${'"a":1,'.repeat(10_000)}"b":2}`,
      'depth 64': `${'['.repeat(64)}${']'.repeat(64)}`,
      'depth 65': `${'['.repeat(65)}${']'.repeat(65)}`,
      'depth 32,000': `${'['.repeat(32_000)}${']'.repeat(32_000)}`,
      'depth 32,000 without end': '['.repeat(32_000),
      'objects without end': '{"a":'.repeat(12_000),
    }).map(([name, text]) => [name, new Uint8Array(Buffer.from(text))]),
  ),
  make: random => {
    const bytes = Buffer.from(writeJson(someJson(random), random))
    if (random.chance(0.1)) return randomBytes(random, random.below(40))
    return random.chance(0.4) ? new Uint8Array(bytes) : damage(bytes, random)
  },
  run: body => {
    const isJson = isUtf8Json(body) && depthOf(body) <= 64
    same(READS.matches(message(body)), isJson)
  },
  show: body => `${printable(Buffer.from(body).toString())} ${Buffer.from(body).toString('hex')}`,
})

function isUtf8Json(body: Uint8Array): boolean {
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body))
    return true
  } catch {
    return false
  }
}

/** Brackets outside of texts, of bytes that are JSON. */
function depthOf(body: Uint8Array): number {
  let [depth, deepest, isText] = [0, 0, false]
  for (let at = 0; at < body.length; at++) {
    const character = String.fromCharCode(body[at]!)
    if (isText && character === '\\') at++
    else if (character === '"') isText = !isText
    else if (!isText && '[{'.includes(character)) deepest = Math.max(deepest, ++depth)
    else if (!isText && ']}'.includes(character)) depth--
  }
  return deepest
}

// The generators themselves: the same seed gives the same.
same(write(someTree(new Random(7)), new Random(8)), write(someTree(new Random(7)), new Random(8)))
