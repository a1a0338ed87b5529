import { bytesOfText, textOfBytes } from './bytes.ts'
import { compile } from './compile.ts'
import { Evaluation } from './evaluation.ts'
import { type FilterPurpose, parse } from './grammar.ts'
import { neededForTrue, neededForValue } from './needs.ts'
import { FieldReader } from './paths.ts'
import { RuleOut } from './rule-out.ts'
import type { FilterSubject } from './subject.ts'
import { first, NULL, toDouble, toText, truth, type Value } from './values.ts'

export { FilterError } from './errors.ts'
export type { FilterPurpose } from './grammar.ts'
export * from './limits.ts'
export { type FilterSubject, PROPERTIES } from './subject.ts'

/** A compiled expression. Its methods never throw, and what they cost is bounded (`limits.ts`). */
export interface Filter {
  readonly text: string
  /** Whether the answer can depend on the body, so that its bytes must be at hand. */
  readonly readsBody: boolean
  /**
   * Whether the expression is TRUE of the message. FALSE, NULL and NaN do not match; nor does a message whose body is
   * not valid JSON when the expression reads fields of it, or one that costs more than a filter may spend.
   */
  matches(subject: FilterSubject): boolean
  /** For priorities: the value as a number; undefined for NULL, NaN, a text that is no number, and where nothing matches. */
  number(subject: FilterSubject): number | undefined
  /** For groups: the value as text; undefined for NULL and where nothing matches. Bytes that are not UTF-8 become U+FFFD. */
  string(subject: FilterSubject): string | undefined
}

export interface FilterOptions {
  /** `subscription` when not given. */
  readonly purpose?: FilterPurpose
  /** The clock behind `UNIX_TIMESTAMP()`, in seconds since 1970; the machine's when not given. */
  readonly now?: () => number
  /**
   * For what somebody may see or say: a body in which a key on the way to a field stands twice does not match. The
   * language takes the first of the two and most readers take the last, so what was judged were not what is read.
   */
  readonly isStrict?: boolean
}

/** Compiles an expression. @throws FilterError */
export function compileFilter(text: string, options: FilterOptions = {}): Filter {
  const source = bytesOfText(text)
  const expression = parse(source, options.purpose ?? 'subscription')
  const reader = new FieldReader(options.isStrict)
  const uses = { body: false }
  const now = options.now ?? (() => Date.now() / 1000)
  const evaluate = compile(expression, { source, reader, now, uses })
  const unmatchable = new RuleOut(neededForTrue(expression))
  const valueless = new RuleOut(neededForValue(expression))
  const evaluation = new Evaluation()

  const evaluated = (subject: FilterSubject, ruleOut: RuleOut): Value => {
    const { bytes, start, end } = subject
    if (ruleOut.isRuledOut(bytes, start, end)) return NULL
    // Whatever goes wrong, be it that the evaluation costs too much or a mistake in the engine behind the patterns,
    // must neither stop the queue nor let the message through.
    try {
      if (reader.fieldCount > 0 && !reader.read(bytes, start, end, evaluation.fields)) return NULL
      evaluation.begin(subject)
      return evaluate(evaluation)
    } catch {
      return NULL
    }
  }

  return {
    text,
    readsBody: uses.body,
    matches: subject => truth(evaluated(subject, unmatchable)) === true,
    number(subject) {
      const number = toDouble(first(evaluated(subject, valueless)))
      return Number.isNaN(number) ? undefined : number
    },
    string(subject) {
      const text = toText(first(evaluated(subject, valueless)))
      return text === undefined ? undefined : textOfBytes(text)
    },
  }
}
