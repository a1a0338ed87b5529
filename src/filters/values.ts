/**
 * The values of the language and how they compare and compute (filters.md, 2).
 *
 * | in the language | here                                                                       |
 * |-----------------|----------------------------------------------------------------------------|
 * | NULL            | `undefined`; the empty string and the empty array are NULL too              |
 * | TRUE, FALSE     | the integers 1 and 0                                                       |
 * | integer         | `number` while it is exact, `bigint` beyond, up to −2⁶³ and 2⁶⁴ − 1          |
 * | double          | `number` when it has a fraction, is NaN or infinite; else a `WholeDouble`  |
 * | byte string     | `string` with one character for each byte                                  |
 * | array           | a list of the others, never empty, never nested                            |
 *
 * So a plain whole `number` is always an integer, and most arithmetic needs neither objects nor bigints.
 */

/** A double that happens to be whole: `1.0`. It must not pass for an integer, for `1.0 / 4` is 0.25 and `1 / 4` is 0. */
export class WholeDouble {
  readonly value: number
  constructor(value: number) {
    this.value = value
  }
}

export type Numeric = number | bigint | WholeDouble
export type Scalar = undefined | Numeric | string
export type List = readonly Scalar[]
export type Value = Scalar | List

export const NULL = undefined
export const TRUE = 1
export const FALSE = 0

const INTEGER_MIN = -(2n ** 63n)
const INTEGER_MAX = 2n ** 64n - 1n
/** Digits that always fit a double exactly, and the most that a 64-bit integer has. */
const DIGITS_EXACT = 15
const DIGITS_MAX = 20

export function isList(value: Value): value is List {
  return Array.isArray(value)
}

/** What arithmetic and functions see of a value: an array stands for its first element. */
export function first(value: Value): Scalar {
  return isList(value) ? value[0] : value
}

export function double(value: number): Numeric {
  return Number.isInteger(value) ? new WholeDouble(value) : value
}

function integer(value: bigint): Numeric {
  if (value < INTEGER_MIN || value > INTEGER_MAX) return new WholeDouble(Number(value))
  const near = Number(value)
  return Number.isSafeInteger(near) ? near : value
}

export function boolean(value: boolean): Scalar {
  return value ? TRUE : FALSE
}

/** A number of JavaScript, as a message property has it: an integer where it is exactly one. */
export function fromNumber(value: number): Numeric {
  return Number.isSafeInteger(value) ? value + 0 : double(value)
}

/** `digits [ "." digits ] [ e[+|-]digits ]` with an optional minus in front; anything else is no number. */
const NUMBER = /^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$/

/** The number that a literal, a JSON number or a string of a message spells, if it does. */
export function parseNumber(text: string): Numeric | undefined {
  const shape = NUMBER.exec(text)
  if (!shape) return undefined
  if (shape[1] !== undefined || shape[2] !== undefined) return double(Number(text))
  if (text.length <= DIGITS_EXACT) return Number(text) + 0
  // Making a bigint takes time that grows with the square of its digits, so only of what can fit.
  const digits = text.replace(/^-?0*/, '')
  if (digits.length > DIGITS_MAX) return double(Number(text))
  return integer(text.startsWith('-') ? -BigInt(digits || '0') : BigInt(digits || '0'))
}

/** The value as a number: NaN for a string that is none. */
export function toNumeric(value: Scalar): Numeric | undefined {
  return typeof value === 'string' ? (parseNumber(value) ?? Number.NaN) : value
}

/** The value as a JavaScript number, rounded where it has more digits; NaN for a string that is no number. */
export function toDouble(value: Scalar): number | undefined {
  const numeric = toNumeric(value)
  return numeric === undefined ? undefined : unbox(numeric)
}

function unbox(value: Numeric): number {
  if (typeof value === 'number') return value
  return value instanceof WholeDouble ? value.value : Number(value)
}

/** The value as text, numbers in their shortest form. */
export function toText(value: Scalar): string | undefined {
  if (value === undefined || typeof value === 'string') return value
  return String(value instanceof WholeDouble ? value.value : value)
}

/** Whether a value counts as TRUE; undefined for NULL, NaN and a string that is no number, which are neither. */
export function truth(value: Value): boolean | undefined {
  const number = toDouble(first(value))
  return number === undefined || Number.isNaN(number) ? undefined : number !== 0
}

/**
 * Which of two values that are not NULL comes first: negative, zero or positive as in `sort`; NaN when a NaN is
 * compared with a number, so that only "not equal" holds.
 */
export function compare(left: Exclude<Scalar, undefined>, right: Exclude<Scalar, undefined>): number {
  if (typeof left === 'string') {
    if (typeof right === 'string') return left < right ? -1 : left > right ? 1 : 0
    return -compare(right, left)
  }
  if (typeof right === 'string') {
    const number = parseNumber(right)
    if (number !== undefined) return compareNumeric(left, number)
    return Number.isNaN(left) ? Number.NaN : -1
  }
  return compareNumeric(left, right)
}

function compareNumeric(left: Numeric, right: Numeric): number {
  // JavaScript compares a bigint with a number by their exact values, so neither is rounded here.
  const a = left instanceof WholeDouble ? left.value : left
  const b = right instanceof WholeDouble ? right.value : right
  if (a < b) return -1
  if (a > b) return 1
  return Number.isNaN(a) || Number.isNaN(b) ? Number.NaN : 0
}

export type ArithmeticOperator = '+' | '-' | '*' | '/' | '%'

/**
 * Integers stay integers, and division of them drops the fraction; a result too large for 64 bits becomes a double.
 * Division and modulo by zero are NaN. A modulo has the sign of the left side.
 */
export function arithmetic(operator: ArithmeticOperator, left: Numeric, right: Numeric): Numeric {
  if (isInteger(left) && isInteger(right)) {
    if (typeof left === 'number' && typeof right === 'number') {
      // Truncating is exact: a quotient of integers below 2⁵³ is never rounded up to the next whole number.
      const result = operator === '/' ? Math.trunc(left / right) : doubles(operator, left, right)
      // `+ 0` turns the −0 of `0 * -1` into the only zero that integers have.
      if (Number.isSafeInteger(result)) return result + 0
      if (Number.isNaN(result)) return result
    }
    return bigIntegers(operator, BigInt(left), BigInt(right))
  }
  const divisor = unbox(right)
  if (divisor === 0 && (operator === '/' || operator === '%')) return Number.NaN
  return double(doubles(operator, unbox(left), divisor))
}

function isInteger(value: Numeric): value is number | bigint {
  return typeof value === 'bigint' || Number.isInteger(value)
}

function doubles(operator: ArithmeticOperator, left: number, right: number): number {
  switch (operator) {
    case '+':
      return left + right
    case '-':
      return left - right
    case '*':
      return left * right
    case '/':
      return left / right
    case '%':
      return left % right
  }
}

function bigIntegers(operator: ArithmeticOperator, left: bigint, right: bigint): Numeric {
  switch (operator) {
    case '+':
      return integer(left + right)
    case '-':
      return integer(left - right)
    case '*':
      return integer(left * right)
    case '/':
      return right === 0n ? Number.NaN : integer(left / right)
    case '%':
      return right === 0n ? Number.NaN : integer(left % right)
  }
}
