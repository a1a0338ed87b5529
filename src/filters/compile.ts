import { errorAt, type FilterError } from './errors.ts'
import type { Evaluate, Evaluation } from './evaluation.ts'
import { type CallArguments, FUNCTIONS } from './functions.ts'
import type { FieldReader } from './paths.ts'
import { Pattern } from './patterns.ts'
import { fromProperty } from './subject.ts'
import { TimeFormat } from './times.ts'
import type { Call, CompareOperator, Expression, Literal, WrittenString } from './tree.ts'
import {
  arithmetic,
  boolean,
  compare,
  FALSE,
  first,
  isList,
  type List,
  NULL,
  type Numeric,
  type Scalar,
  TRUE,
  toNumeric,
  toText,
  truth,
  type Value,
} from './values.ts'

export interface CompileOptions {
  /** The expression as a byte string, for the columns of errors. */
  readonly source: string
  /** Learns the fields that the expression reads. */
  readonly reader: FieldReader
  readonly now: () => number
  /** Set when something reads the body, its length included. */
  readonly uses: { body: boolean }
}

/** Turns an expression into a function. @throws FilterError for a pattern or a time format that cannot be used */
export function compile(expression: Expression, options: CompileOptions): Evaluate {
  const of = (part: Expression): Evaluate => compile(part, options)
  switch (expression.kind) {
    case 'literal': {
      const { value } = expression
      return () => value
    }
    case 'field':
      options.uses.body = true
      return field(options.reader.add(expression.path), expression.index)
    case 'property': {
      const { name } = expression
      return evaluation => fromProperty(evaluation.subject.property(name))
    }
    case 'header': {
      const { name } = expression
      return evaluation => fromProperty(evaluation.subject.header(name))
    }
    case 'call': {
      const rule = FUNCTIONS.get(expression.name)!
      options.uses.body ||= rule.readsBody
      return rule.build(callArguments(expression, options))
    }
    case 'arithmetic': {
      const { operator } = expression
      return numeric(of(expression.left), of(expression.right), (left, right) => arithmetic(operator, left, right))
    }
    case 'negate':
      return numeric(
        () => 0,
        of(expression.operand),
        (zero, operand) => arithmetic('-', zero, operand),
      )
    case 'and':
      return and(of(expression.left), of(expression.right))
    case 'or':
      return or(of(expression.left), of(expression.right))
    case 'not':
      return not(of(expression.operand))
    case 'is-null':
      return isNull(of(expression.operand))
    case 'is-nan':
      return isNan(of(expression.operand))
    case 'compare':
      return comparison(of(expression.left), of(expression.right), HOLDS[expression.operator])
    case 'in':
      return anyMember(of(expression.operand), expression.members.map(of), HOLDS['='])
    case 'between':
      return between(of(expression.operand), of(expression.low), of(expression.high))
    case 'like':
      return like(of(expression.operand), patternOf(expression.pattern, options.source))
    case 'begins-with':
      return anyMember(of(expression.operand), expression.members.map(of), beginsWith)
    case 'ends-with':
      return anyMember(of(expression.operand), expression.members.map(of), endsWith)
  }
}

function callArguments(call: Call, options: CompileOptions): CallArguments {
  const literal = (index: number, what: string): WrittenLiteral => {
    const argument = call.arguments[index]!
    if (isWritten(argument)) return argument
    throw errorAt(options.source, call.at, `${what} in quotes as argument ${index + 1} of ${call.name}`)
  }
  return {
    values: call.arguments.map(argument => compile(argument, options)),
    now: options.now,
    pattern: index => patternOf(literal(index, 'a pattern'), options.source),
    timeFormat(index) {
      const { at, value } = literal(index, 'a time format')
      return new TimeFormat(toText(value) ?? '', refusal(options.source, at))
    },
  }
}

type WrittenLiteral = Literal & { readonly written: WrittenString }

function isWritten(expression: Expression): expression is WrittenLiteral {
  return expression.kind === 'literal' && expression.written !== undefined
}

function patternOf(literal: Literal, source: string): Pattern {
  return new Pattern(literal.written!, refusal(source, literal.at))
}

function refusal(source: string, at: number): (expected: string) => FilterError {
  return expected => errorAt(source, at, expected)
}

function field(index: number, element: number | undefined): Evaluate {
  if (element === undefined) return ({ fields }) => fields[index]
  return ({ fields }) => {
    const value = fields[index]
    return isList(value) ? value[element] : element === 0 ? value : NULL
  }
}

function numeric(left: Evaluate, right: Evaluate, apply: (left: Numeric, right: Numeric) => Numeric): Evaluate {
  return evaluation => {
    const a = toNumeric(first(left(evaluation)))
    const b = toNumeric(first(right(evaluation)))
    return a === undefined || b === undefined ? NULL : apply(a, b)
  }
}

/** NULL on the left decides, unlike in SQL; on the right it does unless the left is FALSE. */
function and(left: Evaluate, right: Evaluate): Evaluate {
  return evaluation => {
    const a = truth(left(evaluation))
    return a === true ? fromTruth(truth(right(evaluation))) : fromTruth(a)
  }
}

/** NULL on the left decides, even if the right is TRUE, unlike in SQL; on the right it does unless the left is TRUE. */
function or(left: Evaluate, right: Evaluate): Evaluate {
  return evaluation => {
    const a = truth(left(evaluation))
    return a === false ? fromTruth(truth(right(evaluation))) : fromTruth(a)
  }
}

function not(operand: Evaluate): Evaluate {
  return evaluation => {
    const value = truth(operand(evaluation))
    return value === undefined ? NULL : boolean(!value)
  }
}

function fromTruth(value: boolean | undefined): Scalar {
  return value === undefined ? NULL : boolean(value)
}

/** An array in which every element is NULL has no more of a value than one without elements. */
function isNull(operand: Evaluate): Evaluate {
  return evaluation => {
    const value = operand(evaluation)
    return boolean(isList(value) ? value.every(element => element === undefined) : value === undefined)
  }
}

function isNan(operand: Evaluate): Evaluate {
  return evaluation => boolean(Number.isNaN(first(operand(evaluation))))
}

/** What a test says of two values that are not NULL. */
type Test = (left: Exclude<Scalar, undefined>, right: Exclude<Scalar, undefined>) => boolean

const HOLDS: Readonly<Record<CompareOperator, Test>> = {
  '=': (left, right) => compare(left, right) === 0,
  '!=': (left, right) => compare(left, right) !== 0,
  '<': (left, right) => compare(left, right) < 0,
  '<=': (left, right) => compare(left, right) <= 0,
  '>': (left, right) => compare(left, right) > 0,
  '>=': (left, right) => compare(left, right) >= 0,
}

const beginsWith: Test = (left, right) => toText(left)!.startsWith(toText(right)!)
const endsWith: Test = (left, right) => toText(left)!.endsWith(toText(right)!)

function comparison(left: Evaluate, right: Evaluate, test: Test): Evaluate {
  return evaluation => boolean(anyPair(evaluation, left(evaluation), right(evaluation), test))
}

function anyMember(operand: Evaluate, members: readonly Evaluate[], test: Test): Evaluate {
  return evaluation => {
    const value = operand(evaluation)
    if (value === undefined) return FALSE
    for (const member of members) if (anyPair(evaluation, value, member(evaluation), test)) return TRUE
    return FALSE
  }
}

/** Whether the test holds for some element of the left with some element of the right. NULL never passes a test. */
function anyPair(evaluation: Evaluation, left: Value, right: Value, test: Test): boolean {
  if (left === undefined || right === undefined) return false
  if (!isList(left) && !isList(right)) return test(left, right)
  const ones = elements(left)
  const others = elements(right)
  evaluation.spend(ones.length * others.length)
  for (const one of ones) {
    if (one === undefined) continue
    for (const other of others) if (other !== undefined && test(one, other)) return true
  }
  return false
}

function elements(value: Value): List {
  return isList(value) ? value : [value]
}

/** Both bounds must hold for the same element. */
function between(operand: Evaluate, low: Evaluate, high: Evaluate): Evaluate {
  return evaluation => {
    const lows = low(evaluation)
    const highs = high(evaluation)
    for (const element of elements(operand(evaluation))) {
      if (!anyPair(evaluation, element, lows, HOLDS['>='])) continue
      if (anyPair(evaluation, element, highs, HOLDS['<='])) return TRUE
    }
    return FALSE
  }
}

function like(operand: Evaluate, pattern: Pattern): Evaluate {
  return evaluation => {
    for (const element of elements(operand(evaluation))) {
      const text = toText(element)
      if (text !== undefined && pattern.isIn(evaluation, text)) return TRUE
    }
    return FALSE
  }
}
