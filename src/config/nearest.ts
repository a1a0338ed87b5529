/** The known name that somebody who wrote `name` most likely meant, if any is near. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  const wrong = name.toLowerCase().replaceAll('-', '_')
  const farthest = Math.max(1, Math.floor(wrong.length / 3))
  let best: { readonly candidate: string; readonly steps: number } | undefined
  for (const candidate of known) {
    const steps = distance(wrong, candidate)
    if (steps <= farthest && steps < (best?.steps ?? Number.POSITIVE_INFINITY)) best = { candidate, steps }
  }
  return best?.candidate
}

/** Letters to put in, take out, replace or swap with their neighbour to make one of the other. */
function distance(from: string, to: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: to.length + 1 }, (_, i) => i)
  for (let i = 1; i <= from.length; i++) {
    const row = [i]
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1]
      const swapped = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]
      const replaced = last[j - 1]! + (same ? 0 : 1)
      const cheapest = Math.min(last[j]! + 1, row[j - 1]! + 1, replaced)
      row.push(swapped ? Math.min(cheapest, beforeLast[j - 2]! + 1) : cheapest)
    }
    beforeLast = last
    last = row
  }
  return last[to.length]!
}
