/** Exit codes, for ever: scripts rest on them. */
export const DONE = 0
export const UNEXPECTED = 1
export const USAGE = 2
export const NOT_FOUND = 3
export const REFUSED = 4
export const NOT_REACHABLE = 5
export const TIMED_OUT = 6
export const WITH_DEAD = 7
export const BATCH_LOST = 8
export const INTERRUPTED = 130

/** Ends a command with an exit code, a sentence that says what happened, and what can be done next. */
export class Stop extends Error {
  readonly exitCode: number
  readonly next: readonly string[]

  constructor(exitCode: number, message: string, ...next: readonly string[]) {
    super(message)
    this.name = 'Stop'
    this.exitCode = exitCode
    this.next = next
  }
}
