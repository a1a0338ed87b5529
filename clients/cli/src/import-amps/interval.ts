/** A duration as it is written here; `why` when it is not the same to the millisecond. */
export interface Interval {
  readonly duration: string
  readonly why?: string
}

const NS_PER_UNIT: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3_600e9,
  d: 86_400e9,
  w: 604_800e9,
}
const NS_PER_MS = 1e6
/** The longest duration here. */
const MS_MAX = 36_525 * 86_400_000
const UNITS_HERE = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const

/**
 * Reads an AMPS interval: a number and a unit, in either case.
 *
 * @returns a sentence when it is none
 */
export function readInterval(text: string): Interval | string {
  const [, digits, unit] = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text) ?? []
  // AMPS's documents, as far as they could be read, do not say what a number without a unit is.
  const nsPerUnit = unit === '' ? NS_PER_UNIT['s'] : NS_PER_UNIT[unit?.toLowerCase() ?? '']
  if (digits === undefined || nsPerUnit === undefined) return 'it is no interval such as 30s'
  const ns = Number(digits) * nsPerUnit
  const ms = Math.ceil(ns / NS_PER_MS)
  if (ms === 0) return 'it is no time at all'
  if (ms > MS_MAX) return 'it is longer than 100 years, which is as good as never'
  const whys = [
    ...(unit === '' ? ['a number without a unit was read as seconds: look whether it is'] : []),
    ...(ms * NS_PER_MS === ns ? [] : ['it was rounded up to whole milliseconds']),
  ]
  return { duration: durationOf(ms), ...(whys.length === 0 ? {} : { why: whys.join('; ') }) }
}

function durationOf(ms: number): string {
  const [unit, size] = UNITS_HERE.find(([, size]) => ms % size === 0) ?? ['ms', 1]
  return `${ms / size}${unit}`
}
