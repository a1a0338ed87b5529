import type { Timestamp } from './facts.ts'

/** Why something is no duration or size: a sentence that quotes it and says what to write instead. */
export interface Misread {
  readonly problem: string
}

const MS_PER_UNIT = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const
const BYTES_PER_UNIT = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 } as const

/** A hundred years: far enough for everybody, and a deadline of now plus this is still an exact date. */
const DURATION_MS_MAX = 36_525 * MS_PER_UNIT.d

/** 1024 TiB: a sum of a few of these is still an exact number. */
const SIZE_MAX = 2 ** 50

/**
 * The time after so many milliseconds, or after a hundred years: frames carry larger numbers, and a time that is no exact
 * number, or no date, can be neither kept nor shown.
 */
export function timeAfter(now: Timestamp, ms: number): Timestamp {
  return now + Math.min(ms, DURATION_MS_MAX)
}

/**
 * Reads a duration as people write it: a whole number with its unit (`500ms`, `30s`, `5m`, `24h`, `7d`), `0`, or a
 * number of milliseconds.
 *
 * A text without a unit is not taken: `30` would be seconds to one reader and milliseconds to the next.
 *
 * @returns milliseconds, whole, 0 … 100 years
 */
export function parseDuration(value: unknown): number | Misread {
  const ms = read(value, MS_PER_UNIT)
  if (ms === undefined) return { problem: `${show(value)} is not a duration: write 500ms, 30s, 5m, 24h or 7d` }
  if (ms > DURATION_MS_MAX) return { problem: `${show(value)} is longer than 100 years` }
  return ms
}

/**
 * Reads a size as people write it: a whole number with its unit (`64KiB`, `1MiB`, `2GiB`), or a number of bytes.
 *
 * `KB` and `MB` are not taken: they are 1000 to one reader and 1024 to the next.
 *
 * @returns bytes, whole, 0 … 1024 TiB
 */
export function parseSize(value: unknown): number | Misread {
  const bytes = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : read(value, BYTES_PER_UNIT)
  if (bytes === undefined) return { problem: `${show(value)} is not a size: write bytes, 64KiB, 1MiB or 2GiB` }
  if (bytes > SIZE_MAX) return { problem: `${show(value)} is more than 1024 TiB` }
  return bytes
}

/** The shortest text that `parseDuration` reads as these milliseconds: `90000` is `90s`. */
export function formatDuration(ms: number): string {
  return ms === 0 ? '0' : format(ms, MS_PER_UNIT)
}

/** The shortest text that `parseSize` reads as these bytes: `65536` is `64KiB`. */
export function formatSize(bytes: number): string {
  return format(bytes, BYTES_PER_UNIT)
}

function read(value: unknown, units: Readonly<Record<string, number>>): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : undefined
  if (typeof value !== 'string') return undefined
  if (value === '0') return 0
  const [, digits, unit = ''] = /^(\d{1,16})([A-Za-z]{1,3})$/.exec(value) ?? []
  if (digits === undefined || !Object.hasOwn(units, unit)) return undefined
  return Number(digits) * (units[unit] as number)
}

function format(amount: number, units: Readonly<Record<string, number>>): string {
  const fitting = Object.entries(units).findLast(([, size]) => amount >= size && amount % size === 0)
  const [unit, size] = fitting ?? (Object.entries(units)[0] as [string, number])
  return `${amount / size}${unit}`
}

/** What was given, fit for one line of an error. */
function show(value: unknown): string {
  const text = typeof value === 'string' || typeof value === 'object' ? JSON.stringify(value) : String(value)
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}
