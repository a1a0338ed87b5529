/** Looks back so far for a rate: long enough to be calm, short enough to be now. */
const RATE_MS = 5_000
/** And so far for a curve. */
const CURVE_MS = 10 * 60_000
/** Samples are at least so far apart. */
const SAMPLE_MS = 500
const SERIES_MAX = 400

interface Sample {
  readonly at: number
  readonly total: number
  readonly rate: number
}

const series = new Map<string, Sample[]>()

/**
 * How fast a total rises, from what this page has seen of it.
 *
 * @param at ms, by the clock of the server
 * @returns a second; undefined until there is something to compare with
 */
export function rateOf(key: string, at: number, total: number): number | undefined {
  const samples = series.get(key) ?? begin(key)
  const last = samples.at(-1)
  // The server has started anew: its totals begin at nothing.
  if (last !== undefined && (total < last.total || at < last.at)) samples.length = 0
  if (last === undefined || at - last.at >= SAMPLE_MS) {
    samples.push({ at, total, rate: rateSince(samples, at, total) ?? 0 })
    while ((samples[0]?.at ?? at) < at - CURVE_MS) samples.shift()
  }
  return rateSince(samples, at, total)
}

/** The rates of the last ten minutes, as far as this page was open. */
export function curveOf(key: string): readonly number[] {
  return (series.get(key) ?? []).slice(1).map(({ rate }) => rate)
}

function rateSince(samples: readonly Sample[], at: number, total: number): number | undefined {
  const from = samples.find(sample => sample.at >= at - RATE_MS)
  if (from === undefined || at - from.at < SAMPLE_MS) return undefined
  return ((total - from.total) * 1000) / (at - from.at)
}

function begin(key: string): Sample[] {
  const oldest = series.keys().next().value
  if (series.size >= SERIES_MAX && oldest !== undefined) series.delete(oldest)
  const samples: Sample[] = []
  series.set(key, samples)
  return samples
}
