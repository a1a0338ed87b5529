/** Between two tellings, in ms. */
const EVERY_MS = 1_000

/**
 * For what can come in floods: tells of the first at once, and then once a second at most, with how many were left out.
 *
 * @param tell gets the number of those that were not told since the last time
 */
export function sparingly<T>(tell: (what: T, untold: number) => void): (what: T) => void {
  let toldAt = Number.NEGATIVE_INFINITY
  let untold = 0
  return what => {
    const now = performance.now()
    if (now - toldAt < EVERY_MS) {
      untold += 1
      return
    }
    tell(what, untold)
    toldAt = now
    untold = 0
  }
}
