import type { Random } from '../support/random.ts'
import { bytesOf, type Json, type Tree } from './plain-filters.ts'

/* Expressions and bodies that have something to do with each other, as trees and as they are written. */

const KEYS = ['a', 'b', 'c', 'a b', 'é', '__proto__', '0']
const WORDS = [
  '',
  'x',
  'X',
  'ab',
  'abc',
  '5',
  '5.0',
  '-1',
  '1e2',
  '07',
  'é',
  'true',
  ' ',
  'aab',
  '99999999999999999999',
]
const NUMBERS = [
  '0',
  '1',
  '2',
  '5',
  '-1',
  '1.0',
  '0.5',
  '2.5',
  '1e2',
  '1e400',
  '9007199254740993',
  '9007199254740992',
  '18446744073709551615',
  '18446744073709551616',
  '-9223372036854775808',
  '100',
]
/** Patterns that mean the same to every engine. */
const PATTERNS = ['a', '^a', 'b$', 'a.c', 'a*b', '^$', 'x|5', '[a-c]+$', '(ab)+', '^.?$', '[^a]', '\\\\.', '5']
const PROPERTIES = ['priority', 'content_type', 'message_id', 'group', 'reply_to', 'correlation_id']
const HEADERS = ['x', 'é']
const FUNCTIONS: readonly (readonly [string, number])[] = [
  ['UPPER', 1],
  ['LOWER', 1],
  ['REVERSE', 1],
  ['INSTR', 2],
  ['INSTR_I', 2],
  ['STREQUAL_I', 2],
  ['COALESCE', 3],
  ['CONCAT', 2],
  ['REPLACE', 3],
  ['SUBSTR', 2],
  ['SUBSTR', 3],
  ['IF', 3],
  ['ABS', 1],
  ['CHAR_VALUE', 1],
  ['ARRAY_COUNT', 1],
  ['ARRAY_TO_STRING', 1],
  ['ARRAY_TO_STRING', 2],
  ['MESSAGE_SIZE', 0],
  ['TRUE_VALUE', 0],
  ['FALSE_VALUE', 0],
  ['NAN_VALUE', 0],
  ['TOPIC_NAME', 0],
]

export function someTree(random: Random, depth = 0): Tree {
  if (depth > 4 || random.chance(0.15 + depth * 0.15)) return someLeaf(random)
  const next = (): Tree => someTree(random, depth + 1)
  const some = (most: number): Tree[] => Array.from({ length: random.between(1, most) }, next)
  switch (random.below(13)) {
    case 0:
    case 1:
      return { op: random.of(['and', 'or'] as const), a: next(), b: next() }
    case 2:
      return { op: 'not', a: next() }
    case 3:
      return { op: random.of(['+', '-', '*', '/', '%'] as const), a: next(), b: next() }
    case 4:
      return { op: 'neg', a: next() }
    case 5:
      return { op: random.of(['isNull', 'isNan'] as const), a: next() }
    case 6:
      return { op: 'between', a: next(), low: next(), high: next() }
    case 7:
      return { op: random.of(['in', 'begins', 'ends'] as const), a: next(), members: some(3) }
    case 8:
      return { op: 'like', a: next(), pattern: random.of(PATTERNS).replaceAll('\\\\', '\\') }
    case 9: {
      const [name, count] = random.of(FUNCTIONS)
      return { op: 'call', name, args: Array.from({ length: count }, next) }
    }
    default:
      return { op: random.of(['=', '!=', '<', '<=', '>', '>='] as const), a: next(), b: next() }
  }
}

function someLeaf(random: Random): Tree {
  const dice = random.below(20)
  if (dice < 9) {
    const path = Array.from({ length: random.of([1, 1, 2, 2, 3]) }, () => bytesOf(random.of(KEYS)))
    const isPlain = path.every(key => !key.includes(' '))
    return isPlain && random.chance(0.2) ? { op: 'field', path, index: random.below(3) } : { op: 'field', path }
  }
  if (dice < 10) return { op: 'property', name: random.of(PROPERTIES) }
  if (dice < 11) return { op: 'header', name: random.of(HEADERS) }
  if (dice < 12) return { op: 'null' }
  if (dice < 16) return { op: 'number', written: random.of(NUMBERS.filter(number => !number.startsWith('-'))) }
  return { op: 'string', bytes: bytesOf(random.of(WORDS)) }
}

const fromBytes = (bytes: string): string => Buffer.from(bytes, 'latin1').toString()

/** How tightly each binds: what binds less than its place asks for stands in parentheses. */
const [OR, AND, NOT, PREDICATE, SUM, TERM, UNARY, PRIMARY] = [0, 1, 2, 3, 4, 5, 6, 7]

/** As a person writes it, with no more parentheses than are needed, and now and then some more. */
export function write(tree: Tree, random: Random): string {
  const at = (part: Tree, least: number): string => {
    const [text, binds] = written(part)
    return binds < least || random.chance(0.05) ? `(${text})` : text
  }
  const word = (text: string): string => (random.chance(0.2) ? text.toLowerCase() : text)
  const list = (parts: readonly Tree[]): string => `(${parts.map(part => at(part, OR)).join(random.of([',', ', ']))})`
  const written = (part: Tree): readonly [string, number] => {
    switch (part.op) {
      case 'field': {
        const isPlain = part.path.every(key => !key.includes(' '))
        const path = `/${part.path.map(fromBytes).join('/')}`
        const index = part.index === undefined ? '' : `[${part.index}]`
        return [isPlain && (index !== '' || random.chance(0.9)) ? path + index : `[${path}]`, PRIMARY]
      }
      case 'property':
        return [`[/$${part.name}]`, PRIMARY]
      case 'header':
        return [`[/$header/${part.name}]`, PRIMARY]
      case 'number':
        return [part.written, PRIMARY]
      case 'string':
        return [quoted(fromBytes(part.bytes), random), PRIMARY]
      case 'null':
        return [word('NULL'), PRIMARY]
      case 'neg':
        return [`-${at(part.a, UNARY)}`, UNARY]
      case '+':
      case '-':
        return [`${at(part.a, SUM)} ${part.op} ${at(part.b, TERM)}`, SUM]
      case '%':
        return [`${at(part.a, TERM)} ${random.of(['%', word('MOD')])} ${at(part.b, UNARY)}`, TERM]
      case '*':
      case '/':
        return [`${at(part.a, TERM)} ${part.op} ${at(part.b, UNARY)}`, TERM]
      case 'and':
        return [`${at(part.a, AND)} ${word('AND')} ${at(part.b, NOT)}`, AND]
      case 'or':
        return [`${at(part.a, OR)} ${word('OR')} ${at(part.b, AND)}`, OR]
      case 'not':
        return [`${word('NOT')} ${at(part.a, NOT)}`, NOT]
      case 'isNull':
        return [`${at(part.a, SUM)} ${word('IS NULL')}`, PREDICATE]
      case 'isNan':
        return [`${at(part.a, SUM)} ${word('IS NAN')}`, PREDICATE]
      case 'between':
        return [
          `${at(part.a, SUM)} ${word('BETWEEN')} ${at(part.low, SUM)} ${word('AND')} ${at(part.high, SUM)}`,
          PREDICATE,
        ]
      case 'in':
        return [`${at(part.a, SUM)} ${word('IN')} ${list(part.members)}`, PREDICATE]
      case 'begins':
        return [`${at(part.a, SUM)} ${word('BEGINS WITH')} ${list(part.members)}`, PREDICATE]
      case 'ends':
        return [`${at(part.a, SUM)} ${word('ENDS WITH')} ${list(part.members)}`, PREDICATE]
      case 'like':
        return [`${at(part.a, SUM)} ${word('LIKE')} '${part.pattern}'`, PREDICATE]
      case 'call':
        return [`${word(part.name)}${list(part.args)}`, PRIMARY]
      default: {
        const sign = part.op === '=' ? random.of(['=', '==']) : part.op === '!=' ? random.of(['!=', '<>']) : part.op
        return [`${at(part.a, SUM)} ${sign} ${at(part.b, SUM)}`, PREDICATE]
      }
    }
  }
  return written(tree)[0]
}

function quoted(text: string, random: Random): string {
  const quote = random.of(["'", '"'])
  return `${random.chance(0.1) ? 'r' : ''}${quote}${text}${quote}`
}

export function someJson(random: Random, depth = 0): Json {
  const dice = depth === 0 ? (random.chance(0.9) ? 9 : random.below(10)) : random.below(depth > 3 ? 7 : 10)
  if (dice < 3) return { kind: 'string', bytes: bytesOf(random.of(WORDS)) }
  if (dice < 6) return { kind: 'number', written: random.of(NUMBERS) }
  if (dice < 7) return { kind: 'word', word: random.of(['true', 'false', 'null'] as const) }
  const parts = random.below(5)
  if (dice < 8) return { kind: 'array', items: Array.from({ length: parts }, () => someJson(random, depth + 1)) }
  return {
    kind: 'object',
    members: Array.from({ length: parts }, () => [bytesOf(random.of(KEYS)), someJson(random, depth + 1)]),
  }
}

export function writeJson(json: Json, random: Random): string {
  const space = (): string => (random.chance(0.05) ? random.of([' ', '\n', '\t ', '\r\n']) : '')
  switch (json.kind) {
    case 'string':
      return `"${escaped(fromBytes(json.bytes), random)}"`
    case 'number':
      return json.written
    case 'word':
      return json.word
    case 'array':
      return `[${space()}${json.items.map(item => writeJson(item, random)).join(`${space()},${space()}`)}]`
    case 'object': {
      const members = json.members.map(([key, value]) => {
        return `"${escaped(fromBytes(key), random)}"${space()}:${space()}${writeJson(value, random)}`
      })
      return `{${space()}${members.join(`,${space()}`)}${space()}}`
    }
  }
}

/** Any character may be written as an escape. */
function escaped(text: string, random: Random): string {
  return [...text]
    .map(character => {
      if (!random.chance(0.05)) return character
      return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
    })
    .join('')
}
