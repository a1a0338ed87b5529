import type { Evaluate, Evaluation } from './evaluation.ts'
import type { Pattern } from './patterns.ts'
import { fromProperty } from './subject.ts'
import type { TimeFormat } from './times.ts'
import {
  arithmetic,
  boolean,
  double,
  FALSE,
  first,
  isList,
  NULL,
  type Scalar,
  TRUE,
  toDouble,
  toNumeric,
  toText,
  truth,
  type Value,
} from './values.ts'

export interface FunctionRule {
  readonly arguments: { readonly least: number; readonly most: number; readonly named: string }
  /**
   * The result is NULL when one of that many first arguments is, or with `one-of-all` when all are. Besides the
   * functions themselves it is what lets a message be ruled out unparsed, so a number too high would lose messages.
   */
  readonly needs: number | 'one-of-all'
  /** The same message may give another result later. */
  readonly changesWithTime: boolean
  readonly readsBody: boolean
  readonly build: (call: CallArguments) => Evaluate
}

/** The arguments of one call, for the function to take as it needs them. */
export interface CallArguments {
  readonly values: readonly Evaluate[]
  /** Argument `index`, which must be a literal pattern. @throws FilterError */
  pattern(index: number): Pattern
  /** Argument `index`, which must be a literal time format. @throws FilterError */
  timeFormat(index: number): TimeFormat
  /** The clock, in seconds since 1970. */
  readonly now: () => number
}

/** What to tell who calls a function that does not exist. */
export function whyNot(name: string): string {
  return `one of the functions ${[...FUNCTIONS.keys()].join(', ')} instead of ${name}`
}

type Arity = number | readonly [least: number, most: number]
type Options = Partial<Pick<FunctionRule, 'needs' | 'changesWithTime' | 'readsBody'>>

function rule(arity: Arity, build: FunctionRule['build'], options: Options = {}): FunctionRule {
  const [least, most] = typeof arity === 'number' ? [arity, arity] : arity
  const count =
    most === Number.POSITIVE_INFINITY ? `${least} or more` : least === most ? `${least}` : `${least} or ${most}`
  return {
    arguments: { least, most, named: most === 1 ? '1 argument' : `${count.replace(/^0$/, 'no')} arguments` },
    needs: least,
    changesWithTime: false,
    readsBody: false,
    build,
    ...options,
  }
}

/** A function of texts that are not NULL; NULL when one of them is. The empty text that it may return is NULL again. */
function ofTexts(count: number, apply: (evaluation: Evaluation, ...texts: string[]) => Scalar): FunctionRule {
  return rule(count, ({ values }) => evaluation => {
    const texts: string[] = []
    for (const value of values) {
      const text = readText(evaluation, value)
      if (text === undefined) return NULL
      texts.push(text)
    }
    const result = apply(evaluation, ...texts)
    return result === '' ? NULL : result
  })
}

function readText(evaluation: Evaluation, value: Evaluate): string | undefined {
  const text = toText(first(value(evaluation)))
  if (text !== undefined) evaluation.spendOnText(text.length)
  return text
}

function position(evaluation: Evaluation, text: string, sought: string): number {
  evaluation.spendOnSearch(text, sought)
  return text.indexOf(sought) + 1
}

/** The case of ASCII letters alone: other bytes are parts of characters, and JavaScript would take them for letters. */
function upper(text: string): string {
  return text.replace(/[a-z]+/g, letters => letters.toUpperCase())
}

function lower(text: string): string {
  return text.replace(/[A-Z]+/g, letters => letters.toLowerCase())
}

/** `SUBSTR(s, start [, length])`. A start before the text counts as its start. */
function substr({ values }: CallArguments): Evaluate {
  const [text, start, length] = values as [Evaluate, Evaluate, Evaluate | undefined]
  return evaluation => {
    const whole = readText(evaluation, text)
    const from = toDouble(first(start(evaluation)))
    const count = length ? toDouble(first(length(evaluation))) : Number.POSITIVE_INFINITY
    if (whole === undefined || from === undefined || count === undefined) return NULL
    if (Number.isNaN(from) || Number.isNaN(count)) return NULL
    const index = Math.max(Math.trunc(from), 1) - 1
    return whole.slice(index, index + Math.max(Math.trunc(count), 0)) || NULL
  }
}

/** Texts one behind the other. NULL adds nothing, as the empty text it is. */
function concat({ values }: CallArguments): Evaluate {
  return evaluation => {
    let result = ''
    for (const value of values) {
      result += readText(evaluation, value) ?? ''
      evaluation.checkText(result.length)
    }
    return result || NULL
  }
}

/** `REPLACE(s, old, new)`: every occurrence, from left to right. A `new` of NULL removes them. */
function replace({ values }: CallArguments): Evaluate {
  const [subject, old, substitute] = values as [Evaluate, Evaluate, Evaluate]
  return evaluation => {
    const text = readText(evaluation, subject)
    const sought = readText(evaluation, old)
    const replacement = readText(evaluation, substitute) ?? ''
    if (text === undefined || sought === undefined) return text
    evaluation.spendOnSearch(text, sought)
    const pieces = text.split(sought)
    // Checked before it is built: a thousand bytes put in for each of a thousand are a million.
    evaluation.checkText(text.length + (pieces.length - 1) * (replacement.length - sought.length))
    return pieces.join(replacement) || NULL
  }
}

/** `REGEXP_REPLACE(s, pattern, new)`: every match. Nothing is special in `new`; NULL removes the matches. */
function regexpReplace(call: CallArguments): Evaluate {
  const [subject, , substitute] = call.values as [Evaluate, Evaluate, Evaluate]
  const pattern = call.pattern(1)
  return evaluation => {
    const text = readText(evaluation, subject)
    const replacement = readText(evaluation, substitute) ?? ''
    return text === undefined ? NULL : pattern.replaceIn(evaluation, text, replacement) || NULL
  }
}

function regexpMatch(call: CallArguments): Evaluate {
  const subject = call.values[0]!
  const pattern = call.pattern(1)
  return evaluation => {
    const text = readText(evaluation, subject)
    return text === undefined ? NULL : pattern.firstIn(evaluation, text) || NULL
  }
}

function coalesce({ values }: CallArguments): Evaluate {
  return evaluation => {
    for (const value of values) {
      const found = first(value(evaluation))
      if (found !== undefined) return found
    }
    return NULL
  }
}

/** `IF(condition, a, b)`: only the branch that is taken is evaluated; `b` when the condition is NULL. */
function conditional({ values }: CallArguments): Evaluate {
  const [condition, whenTrue, otherwise] = values as [Evaluate, Evaluate, Evaluate]
  return evaluation => first((truth(condition(evaluation)) ? whenTrue : otherwise)(evaluation))
}

function strftime(call: CallArguments): Evaluate {
  const format = call.timeFormat(0)
  const time = call.values[1]!
  return evaluation => {
    const seconds = toDouble(first(time(evaluation)))
    return seconds === undefined ? NULL : format.write(seconds) || NULL
  }
}

function strptime(call: CallArguments): Evaluate {
  const format = call.timeFormat(1)
  const subject = call.values[0]!
  return evaluation => {
    const text = readText(evaluation, subject)
    return text === undefined ? NULL : format.read(text)
  }
}

/** The one byte of a number from 0 to 255. */
function charValue({ values }: CallArguments): Evaluate {
  const code = values[0]!
  return evaluation => {
    const byte = toDouble(first(code(evaluation)))
    if (byte === undefined || !Number.isInteger(byte) || byte < 0 || byte > 255) return NULL
    return String.fromCharCode(byte)
  }
}

function absolute({ values }: CallArguments): Evaluate {
  const operand = values[0]!
  return evaluation => {
    const number = toNumeric(first(operand(evaluation)))
    if (number === undefined) return NULL
    return toDouble(number)! < 0 ? arithmetic('-', 0, number) : number
  }
}

/** How many elements an array has; a single value is one, and NULL, as the empty array is, none. */
function arrayCount({ values }: CallArguments): Evaluate {
  const operand = values[0]!
  return evaluation => {
    const value = operand(evaluation)
    return isList(value) ? value.length : value === undefined ? 0 : 1
  }
}

/** `ARRAY_TO_STRING(array [, separator])`; the separator is a comma when not given. */
function arrayToString({ values }: CallArguments): Evaluate {
  const [operand, separator] = values as [Evaluate, Evaluate | undefined]
  return evaluation => {
    const value: Value = operand(evaluation)
    const between = separator ? (readText(evaluation, separator) ?? '') : ','
    let result = ''
    for (const [index, element] of (isList(value) ? value : [value]).entries()) {
      result += (index > 0 ? between : '') + (toText(element) ?? '')
      evaluation.checkText(result.length)
    }
    return result || NULL
  }
}

function constant(value: Scalar): FunctionRule {
  return rule(0, () => () => value)
}

/** A fact about the message that its subject knows by this name; NULL where it has none. */
function property(name: string): FunctionRule {
  return rule(0, () => evaluation => fromProperty(evaluation.subject.property(name)))
}

const ANY_NUMBER = Number.POSITIVE_INFINITY

/** Every function of filters.md whose meaning is given there, by its name in upper case. */
export const FUNCTIONS: ReadonlyMap<string, FunctionRule> = new Map([
  ['ABS', rule(1, absolute)],
  ['ARRAY_COUNT', rule(1, arrayCount, { needs: 0 })],
  ['ARRAY_TO_STRING', rule([1, 2], arrayToString)],
  ['BOOKMARK', property('bookmark')],
  ['CHAR_VALUE', rule(1, charValue)],
  ['COALESCE', rule([1, ANY_NUMBER], coalesce, { needs: 'one-of-all' })],
  ['CONCAT', rule([1, ANY_NUMBER], concat, { needs: 'one-of-all' })],
  ['CORRELATION_ID', property('correlation_id')],
  ['FALSE_VALUE', constant(FALSE)],
  ['IF', rule(3, conditional, { needs: 0 })],
  ['INSTR', ofTexts(2, (evaluation, text, sought) => position(evaluation, text!, sought!))],
  ['INSTR_I', ofTexts(2, (evaluation, text, sought) => position(evaluation, lower(text!), lower(sought!)))],
  ['LAST_UPDATED', property('last_updated')],
  ['LOWER', ofTexts(1, (_, text) => lower(text!))],
  [
    'MESSAGE_SIZE',
    rule(
      0,
      () =>
        ({ subject }) =>
          subject.end - subject.start,
      { readsBody: true },
    ),
  ],
  ['NAN_VALUE', constant(Number.NaN)],
  ['REGEXP_MATCH', rule(2, regexpMatch, { needs: 1 })],
  ['REGEXP_REPLACE', rule(3, regexpReplace, { needs: 1 })],
  ['REPLACE', rule(3, replace, { needs: 1 })],
  ['REVERSE', ofTexts(1, (_, text) => [...text!].reverse().join(''))],
  ['SOW_KEY', property('sow_key')],
  ['STREQUAL_I', ofTexts(2, (_, left, right) => boolean(lower(left!) === lower(right!)))],
  ['STRFTIME', rule(2, strftime)],
  ['STRPTIME', rule(2, strptime)],
  ['SUBSTR', rule([2, 3], substr)],
  [
    'TOPIC_NAME',
    rule(
      0,
      () =>
        ({ subject }) =>
          fromProperty(subject.queue),
    ),
  ],
  ['TRUE_VALUE', constant(TRUE)],
  [
    'UNIX_TIMESTAMP',
    rule(
      0,
      ({ now }) =>
        () =>
          double(now()),
      { changesWithTime: true },
    ),
  ],
  ['UPPER', ofTexts(1, (_, text) => upper(text!))],
])
