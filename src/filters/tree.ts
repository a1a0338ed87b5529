import type { ArithmeticOperator, Scalar } from './values.ts'

/** An expression as the grammar reads it. */
export type Expression =
  | Literal
  | { readonly kind: 'field'; readonly path: readonly string[]; readonly index: number | undefined }
  | { readonly kind: 'property' | 'header'; readonly name: string }
  | Call
  | { readonly kind: 'negate' | 'not' | 'is-null' | 'is-nan'; readonly operand: Expression }
  | {
      readonly kind: 'arithmetic'
      readonly operator: ArithmeticOperator
      readonly left: Expression
      readonly right: Expression
    }
  | {
      readonly kind: 'compare'
      readonly operator: CompareOperator
      readonly left: Expression
      readonly right: Expression
    }
  | { readonly kind: 'and' | 'or'; readonly left: Expression; readonly right: Expression }
  | { readonly kind: 'between'; readonly operand: Expression; readonly low: Expression; readonly high: Expression }
  | {
      readonly kind: 'in' | 'begins-with' | 'ends-with'
      readonly operand: Expression
      readonly members: readonly Expression[]
    }
  | { readonly kind: 'like'; readonly operand: Expression; readonly pattern: Literal }

export type CompareOperator = '=' | '!=' | '<' | '<=' | '>' | '>='

export interface Literal {
  readonly kind: 'literal'
  readonly value: Scalar
  /** As it was written, which patterns need; undefined for what is not a string. */
  readonly written: WrittenString | undefined
  /** Its place in the source, from 0. */
  readonly at: number
}

/** A string literal before its escapes are resolved. */
export interface WrittenString {
  readonly text: string
  /** `r'…'`: every character stands for itself, in patterns too. */
  readonly exact: boolean
}

export interface Call {
  readonly kind: 'call'
  /** In upper case; a name of `FUNCTIONS`. */
  readonly name: string
  readonly arguments: readonly Expression[]
  /** The place of the name in the source, from 0. */
  readonly at: number
}
