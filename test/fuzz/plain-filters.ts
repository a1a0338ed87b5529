/*
 * What an expression means, told once more and as plainly as can be: a tree is walked over a parsed body, nothing is
 * compiled, ruled out or read ahead. Written from the rules of the language, not from src/filters.
 */

/** NULL is undefined, an integer a bigint, a double a number, a text its bytes as characters. */
export type Plain = undefined | bigint | number | string
type PlainList = readonly Plain[]

/** JSON as it stands: members keep their order, and their doubles. */
export type Json =
  | { readonly kind: 'object'; readonly members: readonly (readonly [string, Json])[] }
  | { readonly kind: 'array'; readonly items: readonly Json[] }
  | { readonly kind: 'number'; readonly written: string }
  | { readonly kind: 'string'; readonly bytes: string }
  | { readonly kind: 'word'; readonly word: 'true' | 'false' | 'null' }

export type Tree =
  | { readonly op: 'field'; readonly path: readonly string[]; readonly index?: number }
  | { readonly op: 'property' | 'header'; readonly name: string }
  | { readonly op: 'number'; readonly written: string }
  | { readonly op: 'string'; readonly bytes: string }
  | { readonly op: 'null' }
  | { readonly op: 'neg' | 'not' | 'isNull' | 'isNan'; readonly a: Tree }
  | { readonly op: '+' | '-' | '*' | '/' | '%'; readonly a: Tree; readonly b: Tree }
  | { readonly op: '=' | '!=' | '<' | '<=' | '>' | '>='; readonly a: Tree; readonly b: Tree }
  | { readonly op: 'and' | 'or'; readonly a: Tree; readonly b: Tree }
  | { readonly op: 'between'; readonly a: Tree; readonly low: Tree; readonly high: Tree }
  | { readonly op: 'in' | 'begins' | 'ends'; readonly a: Tree; readonly members: readonly Tree[] }
  | { readonly op: 'like'; readonly a: Tree; readonly pattern: string }
  | { readonly op: 'call'; readonly name: string; readonly args: readonly Tree[] }

export interface PlainMessage {
  /** Undefined: the body is no JSON. */
  readonly body: Json | undefined
  readonly size: number
  readonly properties: Readonly<Record<string, string | number>>
  readonly headers: Readonly<Record<string, string | number | boolean>>
}

const INTEGER_MIN = -(2n ** 63n)
const INTEGER_MAX = 2n ** 64n - 1n

/** The value of an expression: one, or those of an array. NULL of everything if it reads fields and there are none. */
export function evaluate(tree: Tree, message: PlainMessage): Plain | PlainList {
  if (!message.body && readsFields(tree)) return undefined
  return meaningOf(tree, message)
}

/** TRUE, FALSE, or neither. */
export function truthOf(value: Plain | PlainList): boolean | undefined {
  const number = numberOf(first(value))
  if (number === undefined || Number.isNaN(number)) return undefined
  return Number(number) !== 0
}

export function numberOf(value: Plain): bigint | number | undefined {
  return typeof value === 'string' ? (parseNumber(value) ?? Number.NaN) : value
}

/** A text as it is, a number in its shortest form. */
export function textOf(value: Plain): string | undefined {
  return value === undefined || typeof value === 'string' ? value : String(value)
}

export function first(value: Plain | PlainList): Plain {
  return isList(value) ? value[0] : value
}

function isList(value: Plain | PlainList): value is PlainList {
  return Array.isArray(value)
}

function all(value: Plain | PlainList): PlainList {
  return isList(value) ? value : [value]
}

function readsFields(tree: Tree): boolean {
  if (tree.op === 'field') return true
  return Object.values(tree).some(part =>
    Array.isArray(part)
      ? part.some(one => typeof one === 'object' && readsFields(one as Tree))
      : typeof part === 'object' && part !== null && readsFields(part as Tree),
  )
}

function parseNumber(text: string): bigint | number | undefined {
  if (!/^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$/.test(text)) return undefined
  return /[.eE]/.test(text) ? Number(text) : whole(BigInt(text))
}

/** An integer has 64 bits; beyond them it is a double. */
function whole(value: bigint): bigint | number {
  return value < INTEGER_MIN || value > INTEGER_MAX ? Number(value) : value
}

function collect(json: Json, path: readonly string[]): PlainList {
  if (json.kind === 'array') return json.items.flatMap(item => collect(item, path))
  if (path.length === 0) return [scalar(json)]
  if (json.kind !== 'object') return []
  const member = json.members.find(([name]) => name === path[0])
  return member ? collect(member[1], path.slice(1)) : []
}

function scalar(json: Json): Plain {
  if (json.kind === 'string') return json.bytes === '' ? undefined : json.bytes
  if (json.kind === 'number') return parseNumber(json.written)
  if (json.kind === 'word') return json.word === 'null' ? undefined : json.word === 'true' ? 1n : 0n
  return undefined
}

function given(value: string | number | boolean | undefined): Plain {
  if (typeof value === 'boolean') return value ? 1n : 0n
  if (typeof value === 'number') return Number.isSafeInteger(value) ? BigInt(value) : value
  return value === undefined || value === '' ? undefined : bytesOf(value)
}

export const bytesOf = (text: string): string => Buffer.from(text).toString('latin1')

function meaningOf(tree: Tree, message: PlainMessage): Plain | PlainList {
  const of = (part: Tree): Plain | PlainList => meaningOf(part, message)
  switch (tree.op) {
    case 'field': {
      const found = message.body ? collect(message.body, tree.path) : []
      const value = found.length < 2 ? found[0] : found
      return tree.index === undefined ? value : all(value)[tree.index]
    }
    case 'property':
      return given(message.properties[tree.name])
    case 'header':
      return given(message.headers[tree.name])
    case 'number':
      return parseNumber(tree.written)
    case 'string':
      return tree.bytes === '' ? undefined : tree.bytes
    case 'null':
      return undefined
    case 'neg':
      return arithmetic('-', 0n, numberOf(first(of(tree.a))))
    case '+':
    case '-':
    case '*':
    case '/':
    case '%':
      return arithmetic(tree.op, numberOf(first(of(tree.a))), numberOf(first(of(tree.b))))
    case 'and':
    case 'or': {
      const left = truthOf(of(tree.a))
      if (left === undefined) return undefined
      if (left === (tree.op === 'or')) return bool(left)
      return bool(truthOf(of(tree.b)))
    }
    case 'not': {
      const truth = truthOf(of(tree.a))
      return truth === undefined ? undefined : bool(!truth)
    }
    case 'isNull':
      return bool(all(of(tree.a)).every(one => one === undefined))
    case 'isNan':
      return bool(Number.isNaN(first(of(tree.a))))
    case 'between': {
      const [lows, highs] = [all(of(tree.low)), all(of(tree.high))]
      const holds = (one: Plain): boolean =>
        lows.some(low => compares('>=', one, low)) && highs.some(high => compares('<=', one, high))
      return bool(all(of(tree.a)).some(holds))
    }
    case 'in':
    case 'begins':
    case 'ends': {
      const ones = all(of(tree.a))
      const others = tree.members.flatMap(member => [...all(of(member))])
      return bool(ones.some(one => others.some(other => isMember(tree.op as 'in', one, other))))
    }
    case 'like': {
      const pattern = new RegExp(tree.pattern)
      return bool(all(of(tree.a)).some(one => one !== undefined && pattern.test(String(textOf(one)))))
    }
    case 'call':
      return call(tree.name, tree.args, of, message)
    default:
      return bool(all(of(tree.a)).some(one => all(of(tree.b)).some(other => compares(tree.op, one, other))))
  }
}

function bool(value: boolean | undefined): Plain {
  return value === undefined ? undefined : value ? 1n : 0n
}

function isMember(op: 'in' | 'begins' | 'ends', one: Plain, other: Plain): boolean {
  if (one === undefined || other === undefined) return false
  if (op === 'in') return compares('=', one, other)
  const [text, part] = [String(textOf(one)), String(textOf(other))]
  return op === 'begins' ? text.startsWith(part) : text.endsWith(part)
}

function compares(op: '=' | '!=' | '<' | '<=' | '>' | '>=', a: Plain, b: Plain): boolean {
  if (a === undefined || b === undefined) return false
  const order = orderOf(a, b)
  if (order === undefined) return op === '!='
  return { '=': order === 0, '!=': order !== 0, '<': order < 0, '<=': order <= 0, '>': order > 0, '>=': order >= 0 }[op]
}

/** Undefined where NaN is compared with a number. */
function orderOf(a: Exclude<Plain, undefined>, b: Exclude<Plain, undefined>): number | undefined {
  if (typeof a === 'string' && typeof b === 'string') return a < b ? -1 : a > b ? 1 : 0
  if (typeof a === 'string') {
    const order = orderOf(b, a)
    return order === undefined ? undefined : -order
  }
  if (typeof b === 'string') {
    const number = parseNumber(b)
    if (number !== undefined) return orderOf(a, number)
    return Number.isNaN(a) ? undefined : -1
  }
  return a < b ? -1 : a > b ? 1 : Number.isNaN(a) || Number.isNaN(b) ? undefined : 0
}

function arithmetic(
  op: '+' | '-' | '*' | '/' | '%',
  a: bigint | number | undefined,
  b: bigint | number | undefined,
): Plain {
  if (a === undefined || b === undefined) return undefined
  if ((op === '/' || op === '%') && Number(b) === 0) return Number.NaN
  if (typeof a === 'bigint' && typeof b === 'bigint') {
    return whole({ '+': () => a + b, '-': () => a - b, '*': () => a * b, '/': () => a / b, '%': () => a % b }[op]())
  }
  const [x, y] = [Number(a), Number(b)]
  return { '+': x + y, '-': x - y, '*': x * y, '/': x / y, '%': x % y }[op]
}

const upper = (text: string): string => text.replace(/[a-z]/g, letter => letter.toUpperCase())
const lower = (text: string): string => text.replace(/[A-Z]/g, letter => letter.toLowerCase())
const filled = (text: string): Plain => (text === '' ? undefined : text)

function call(
  name: string,
  args: readonly Tree[],
  of: (part: Tree) => Plain | PlainList,
  message: PlainMessage,
): Plain | PlainList {
  if (name === 'IF') return first(of(args[truthOf(of(args[0] as Tree)) ? 1 : 2] as Tree))
  if (name === 'ARRAY_COUNT') {
    const value = of(args[0] as Tree)
    return isList(value) ? BigInt(value.length) : value === undefined ? 0n : 1n
  }
  if (name === 'ARRAY_TO_STRING') {
    const texts = all(of(args[0] as Tree)).map(one => textOf(one) ?? '')
    return filled(texts.join(args[1] ? (textOf(first(of(args[1]))) ?? '') : ','))
  }
  const values = args.map(arg => first(of(arg)))
  const texts = values.map(textOf)
  if (name === 'COALESCE') return values.find(value => value !== undefined)
  if (name === 'CONCAT') return filled(texts.map(text => text ?? '').join(''))
  if (name === 'MESSAGE_SIZE') return BigInt(message.size)
  if (name === 'TRUE_VALUE') return 1n
  if (name === 'FALSE_VALUE') return 0n
  if (name === 'NAN_VALUE') return Number.NaN
  if (name === 'TOPIC_NAME') return 'orders'
  if (name === 'REPLACE') {
    const [text, old, by = ''] = texts
    return text === undefined || old === undefined ? text : filled(text.split(old).join(by))
  }
  if (name === 'SUBSTR') {
    const [text] = texts
    const [start, count] = [numberOf(values[1]), args[2] ? numberOf(values[2]) : Number.POSITIVE_INFINITY]
    if (text === undefined || start === undefined || count === undefined) return undefined
    if (Number.isNaN(start) || Number.isNaN(count)) return undefined
    const from = Math.max(Math.trunc(Number(start)), 1) - 1
    return filled(text.slice(from, from + Math.max(Math.trunc(Number(count)), 0)))
  }
  if (name === 'ABS') {
    const number = numberOf(values[0])
    return number === undefined ? undefined : Number(number) < 0 ? arithmetic('-', 0n, number) : number
  }
  if (name === 'CHAR_VALUE') {
    const code = Number(numberOf(values[0]) ?? Number.NaN)
    return Number.isInteger(code) && code >= 0 && code <= 255 ? String.fromCharCode(code) : undefined
  }
  const [a, b] = texts
  if (a === undefined || (args.length > 1 && b === undefined)) return undefined
  switch (name) {
    case 'UPPER':
      return upper(a)
    case 'LOWER':
      return lower(a)
    case 'REVERSE':
      return filled([...a].reverse().join(''))
    case 'INSTR':
      return BigInt(a.indexOf(b as string) + 1)
    case 'INSTR_I':
      return BigInt(lower(a).indexOf(lower(b as string)) + 1)
    case 'STREQUAL_I':
      return bool(lower(a) === lower(b as string))
    default:
      throw new Error(`no function ${name}`)
  }
}
