import { textOfBytes } from './bytes.ts'
import { errorAt, type FilterError } from './errors.ts'
import { FUNCTIONS, whyNot } from './functions.ts'
import { DEPTH_MAX, EXPRESSION_BYTES_MAX, LIST_MAX, NODES_MAX } from './limits.ts'
import { type Token, Tokens } from './tokens.ts'
import type { CompareOperator, Expression, Literal } from './tree.ts'
import { NULL } from './values.ts'

/**
 * Where an expression is used. `queue`: the filter, barrier, priority and group expressions of a queue, which must
 * always give the same answer for the same message; `subscription`: anything else.
 */
export type FilterPurpose = 'subscription' | 'queue'

const COMPARISONS: ReadonlyMap<string, CompareOperator> = new Map([
  ['=', '='],
  ['==', '='],
  ['!=', '!='],
  ['<>', '!='],
  ['<', '<'],
  ['<=', '<='],
  ['>', '>'],
  ['>=', '>='],
])

/** Words that cannot name a function. */
const KEYWORDS: ReadonlySet<string> = new Set('AND OR NOT BETWEEN IN LIKE BEGINS ENDS WITH IS NULL NAN MOD'.split(' '))

/**
 * Reads an expression (filters.md, 1).
 *
 * @param source the expression as a byte string
 * @throws FilterError at the first place that does not fit
 */
export function parse(source: string, purpose: FilterPurpose): Expression {
  return new Grammar(source, purpose).filter()
}

/** A method for each rule; those of binary operators loop, so only real nesting uses the stack. */
class Grammar {
  readonly #tokens: Tokens
  readonly #purpose: FilterPurpose
  #token: Token
  #previous = ''
  #depth = 0
  #nodes = 0

  constructor(source: string, purpose: FilterPurpose) {
    if (source.length > EXPRESSION_BYTES_MAX) {
      throw errorAt(source, EXPRESSION_BYTES_MAX, `the end: an expression has at most ${EXPRESSION_BYTES_MAX} bytes`)
    }
    this.#tokens = new Tokens(source)
    this.#purpose = purpose
    this.#token = this.#tokens.next()
  }

  filter(): Expression {
    const filter = this.#or()
    if (this.#token.kind === 'end') return filter
    if (COMPARISONS.has(this.#token.text)) {
      throw this.#error('AND, OR or the end: a comparison cannot be compared again without parentheses')
    }
    if (this.#token.kind === 'field') {
      throw this.#error('an operator or the end; to divide, put a space on both sides of "/"')
    }
    throw this.#error('an operator or the end')
  }

  #or(): Expression {
    let left = this.#and()
    while (this.#takeWord('OR')) left = this.#node({ kind: 'or', left, right: this.#and() })
    return left
  }

  #and(): Expression {
    let left = this.#not()
    while (this.#takeWord('AND')) left = this.#node({ kind: 'and', left, right: this.#not() })
    return left
  }

  #not(): Expression {
    if (!this.#takeWord('NOT')) return this.#predicate()
    return this.#node({ kind: 'not', operand: this.#nested(() => this.#not()) })
  }

  #predicate(): Expression {
    const operand = this.#sum()
    const operator = this.#token.kind === 'symbol' ? COMPARISONS.get(this.#token.text) : undefined
    if (operator) {
      this.#advance()
      return this.#node({ kind: 'compare', operator, left: operand, right: this.#sum() })
    }
    if (this.#takeWord('IS')) return this.#is(operand)
    if (!this.#takeWord('NOT')) return this.#test(operand) ?? operand
    const test = this.#test(operand)
    if (!test) throw this.#error('BETWEEN, IN, LIKE, BEGINS WITH or ENDS WITH after NOT')
    return this.#node({ kind: 'not', operand: test })
  }

  #is(operand: Expression): Expression {
    const negated = this.#takeWord('NOT')
    const kind = this.#takeWord('NULL') ? 'is-null' : this.#takeWord('NAN') ? 'is-nan' : undefined
    if (!kind) throw this.#error(negated ? 'NULL or NAN after IS NOT' : 'NULL, NAN or NOT after IS')
    const test = this.#node({ kind, operand })
    return negated ? this.#node({ kind: 'not', operand: test }) : test
  }

  /** A test that may have NOT in front. */
  #test(operand: Expression): Expression | undefined {
    if (this.#takeWord('BETWEEN')) {
      const low = this.#sum()
      if (!this.#takeWord('AND')) throw this.#error('AND and the upper bound of BETWEEN')
      return this.#node({ kind: 'between', operand, low, high: this.#sum() })
    }
    if (this.#takeWord('IN')) return this.#node({ kind: 'in', operand, members: this.#list('IN') })
    if (this.#takeWord('LIKE')) return this.#node({ kind: 'like', operand, pattern: this.#pattern() })
    for (const word of ['BEGINS', 'ENDS'] as const) {
      if (!this.#takeWord(word)) continue
      if (!this.#takeWord('WITH')) throw this.#error(`WITH after ${word}`)
      const kind = word === 'BEGINS' ? 'begins-with' : 'ends-with'
      return this.#node({ kind, operand, members: this.#list(`${word} WITH`) })
    }
    return undefined
  }

  #pattern(): Literal {
    const token = this.#token
    if (token.kind !== 'string') throw this.#error('a pattern in quotes after LIKE')
    this.#advance()
    return this.#node({ kind: 'literal', value: token.value, written: token.written, at: token.at })
  }

  #list(after: string): readonly Expression[] {
    if (this.#token.text !== '(') throw this.#error(`"(" and a list after ${after}`)
    return this.#nested(() => this.#members(after))
  }

  #members(after: string): readonly Expression[] {
    const open = this.#token.at
    const members: Expression[] = []
    do {
      this.#advance()
      if (members.length === LIST_MAX) throw this.#error(`")": a list has at most ${LIST_MAX} members`)
      if (this.#token.text === ')') throw this.#error(`a value in the list of ${after}`)
      const member = this.#or()
      if (member.kind === 'literal') this.#nodes -= 1
      members.push(member)
    } while (this.#token.text === ',')
    this.#close(open)
    return members
  }

  #sum(): Expression {
    let left = this.#term()
    for (;;) {
      const operator = this.#token.text
      if (this.#token.kind !== 'symbol' || (operator !== '+' && operator !== '-')) return left
      this.#advance()
      left = this.#node({ kind: 'arithmetic', operator, left, right: this.#term() })
    }
  }

  #term(): Expression {
    let left = this.#unary()
    for (;;) {
      const operator = this.#isWord('MOD') ? '%' : this.#token.kind === 'symbol' ? this.#token.text : ''
      if (operator !== '*' && operator !== '/' && operator !== '%') return left
      this.#advance()
      left = this.#node({ kind: 'arithmetic', operator, left, right: this.#unary() })
    }
  }

  #unary(): Expression {
    if (this.#token.kind !== 'symbol' || this.#token.text !== '-') return this.#primary()
    this.#advance()
    return this.#node({ kind: 'negate', operand: this.#nested(() => this.#unary()) })
  }

  #primary(): Expression {
    const token = this.#token
    switch (token.kind) {
      case 'number':
        this.#advance()
        return this.#node({ kind: 'literal', value: token.value, written: undefined, at: token.at })
      case 'string':
        this.#advance()
        return this.#node({ kind: 'literal', value: token.value, written: token.written, at: token.at })
      case 'field':
        this.#advance()
        return this.#node({ kind: 'field', path: token.path, index: token.index })
      case 'property':
      case 'header':
        this.#advance()
        return this.#node({ kind: token.kind, name: token.name })
      case 'word':
        return this.#word(token.word, token.at)
      default:
        return this.#parenthesis()
    }
  }

  #parenthesis(): Expression {
    if (this.#token.text !== '(') {
      throw this.#error(this.#previous === '' ? 'a value' : `a value after "${this.#previous}"`)
    }
    const open = this.#token.at
    this.#advance()
    const inner = this.#nested(() => this.#or())
    this.#close(open)
    return inner
  }

  #word(word: string, at: number): Expression {
    if (this.#takeWord('NULL')) return this.#node({ kind: 'literal', value: NULL, written: undefined, at })
    if (KEYWORDS.has(word)) throw this.#error(`a value before ${word}`)
    this.#advance()
    if (this.#token.text !== '(') {
      const hint = word === 'TRUE' || word === 'FALSE' ? `${word}_VALUE()` : `quotes around a text, "/" before a field`
      throw errorAt(this.#tokens.source, at, `a value instead of ${word}: write ${hint}`)
    }
    return this.#call(word, at)
  }

  #call(name: string, at: number): Expression {
    const rule = FUNCTIONS.get(name)
    if (!rule) throw errorAt(this.#tokens.source, at, whyNot(name))
    if (rule.changesWithTime && this.#purpose === 'queue') {
      const why = 'the expressions of a queue must not depend on when they are evaluated'
      throw errorAt(this.#tokens.source, at, `no call of ${name}: ${why}`)
    }
    const open = this.#token.at
    const values = this.#nested(() => this.#arguments())
    if (values.length < rule.arguments.least || values.length > rule.arguments.most) {
      throw errorAt(this.#tokens.source, at, `${name} with ${rule.arguments.named}; it has ${values.length || 'none'}`)
    }
    this.#close(open)
    return this.#node({ kind: 'call', name, arguments: values, at })
  }

  #arguments(): readonly Expression[] {
    this.#advance()
    if (this.#token.text === ')') return []
    const values = [this.#or()]
    while (this.#token.text === ',') {
      this.#advance()
      values.push(this.#or())
    }
    return values
  }

  #close(open: number): void {
    if (this.#token.kind !== 'symbol' || this.#token.text !== ')') {
      const { column } = errorAt(this.#tokens.source, open, '')
      throw this.#error(`")" for the "(" in column ${column}`)
    }
    this.#advance()
  }

  #nested<T>(read: () => T): T {
    this.#depth += 1
    if (this.#depth > DEPTH_MAX) throw this.#error(`at most ${DEPTH_MAX} levels of nesting`)
    const result = read()
    this.#depth -= 1
    return result
  }

  #node<T extends Expression>(node: T): T {
    this.#nodes += 1
    if (this.#nodes > NODES_MAX) throw this.#error(`the end: an expression has at most ${NODES_MAX} parts`)
    return node
  }

  #advance(): void {
    this.#previous = textOfBytes(this.#token.text)
    this.#token = this.#tokens.next()
  }

  #isWord(word: string): boolean {
    return this.#token.kind === 'word' && this.#token.word === word
  }

  #takeWord(word: string): boolean {
    if (!this.#isWord(word)) return false
    this.#advance()
    return true
  }

  #error(expected: string): FilterError {
    return errorAt(this.#tokens.source, this.#token.at, expected)
  }
}
