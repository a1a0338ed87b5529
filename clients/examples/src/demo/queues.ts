export const LINES = 'brown.lines'
export const COUNTS = 'brown.counts'

/** A line of a file of the corpus. */
export interface Line {
  readonly file: string
  readonly line: number
  readonly text: string
}

/** How often each word is in a line. */
export interface Counts {
  readonly words: Readonly<Record<string, number>>
  /** The line had been with another worker before. */
  readonly redelivered: boolean
  /** Process that counted. */
  readonly by: number
}
