/** How long to wait between attempts to reach the server again. */
export interface BackoffOptions {
  /** Bound of the first wait, in ms. Default 100. */
  readonly baseMs?: number
  /** Each bound is the one before times this. Default 2. */
  readonly factor?: number
  /** No bound is above it, in ms. Default 10,000. */
  readonly maxMs?: number
  /** After so many attempts in a row the client gives up and is closed. Default: never. */
  readonly attemptsMax?: number
}

/**
 * Wait before an attempt, in ms: a random share, from half to all, of a bound that grows. A server that restarts meets
 * its clients spread over time, and none of them hammers it.
 *
 * @param attempt from 1
 * @param random gives numbers from 0 to below 1
 */
export function backoffMs(attempt: number, options: BackoffOptions, random: () => number): number {
  const { baseMs = 100, factor = 2, maxMs = 10_000 } = options
  const bound = Math.min(maxMs, baseMs * factor ** (attempt - 1))
  return Math.round(bound * (0.5 + random() / 2))
}
