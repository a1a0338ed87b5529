import { textOfBytes } from './bytes.ts'

/**
 * An expression that cannot be compiled. The message is a sentence for the person who wrote it:
 * `column 6: expected a value after "="`.
 */
export class FilterError extends Error {
  override readonly name = 'FilterError'
  readonly code = 'bad-filter'
  /** Where in the expression, counted in characters from 1; one behind the last when the end came too soon. */
  readonly column: number
  /** What could have stood there: the message without the column. */
  readonly expected: string

  constructor(column: number, expected: string) {
    super(`column ${column}: expected ${expected}`)
    this.column = column
    this.expected = expected
  }
}

/** The error for place `at` (from 0) in `source`, the expression as a byte string. */
export function errorAt(source: string, at: number, expected: string): FilterError {
  return new FilterError([...textOfBytes(source.slice(0, at))].length + 1, expected)
}
