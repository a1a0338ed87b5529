import { double, fromNumber, type Numeric } from './values.ts'

/**
 * The formats of `STRFTIME` and `STRPTIME`: those of POSIX in the C locale, in UTC, with `%f` for microseconds and
 * `%03f` for milliseconds.
 */
export class TimeFormat {
  readonly #pieces: readonly (Field | string)[]

  /** @throws what `refuse` makes of the reason, when the format has a field that is not known */
  constructor(format: string, refuse: (expected: string) => Error) {
    const pieces = piecesOf(format).flatMap(piece => piecesOf(SHORTHANDS.get(piece) ?? piece))
    this.#pieces = pieces.map(piece => {
      const found = piece.startsWith('%') ? FIELDS.get(piece.slice(1)) : piece
      if (found === undefined) throw refuse(`a time format of the fields ${KNOWN}, without ${piece}`)
      return found
    })
  }

  /** The text for a time in seconds since 1970; undefined beyond the years that a date can have. */
  write(seconds: number): string | undefined {
    // Rounded first, so that 0.9999999 is carried into the seconds instead of being written as 1000000 microseconds.
    const micros = Math.round((seconds - Math.floor(seconds)) * MICROS)
    const date = new Date((Math.floor(seconds) + (micros === MICROS ? 1 : 0)) * 1000)
    if (Number.isNaN(date.getTime())) return undefined
    return this.#pieces.map(each => (typeof each === 'string' ? each : each.write(date, micros % MICROS))).join('')
  }

  /** The seconds since 1970 that `text` tells, if all of it fits; what the format leaves out is as at their start. */
  read(text: string): Numeric | undefined {
    const read: Moment = { ...START }
    let rest = text
    for (const piece of this.#pieces) {
      const found =
        typeof piece === 'string' ? (rest.startsWith(piece) ? piece : undefined) : piece.shape.exec(rest)?.[0]
      if (found === undefined) return undefined
      if (typeof piece !== 'string' && piece.part) read[piece.part] = piece.value(found)
      rest = rest.slice(found.length)
    }
    return rest === '' ? toSeconds(read) : undefined
  }
}

function piecesOf(format: string): readonly string[] {
  return format.match(/%0[0-9]f|%.?|[^%]+/gs) ?? []
}

const MICROS = 1_000_000
const DAY_MS = 86_400_000
const START = {
  year: 1970,
  month: 1,
  day: 1,
  dayOfYear: 0,
  hour: 0,
  half: -1,
  minute: 0,
  second: 0,
  micros: 0,
  east: 0,
  epoch: Number.NaN,
}
type Moment = typeof START

/** What stands behind `%`. */
interface Field {
  /** What it reads at the start of a text. */
  readonly shape: RegExp
  /** Where the number read goes; undefined for what says nothing new, as the day of the week. */
  readonly part: keyof Moment | undefined
  value(text: string): number
  write(date: Date, micros: number): string
}

function toSeconds(read: Moment): Numeric | undefined {
  if (!Number.isNaN(read.epoch)) return withMicros(read.epoch, read.micros)
  const date = new Date(0)
  // Not Date.UTC, which takes the years 0 to 99 for 1900 to 1999.
  date.setUTCFullYear(read.year, read.month - 1, read.day)
  if (date.getUTCMonth() !== read.month - 1) return undefined
  if (read.dayOfYear > 0) date.setUTCMonth(0, read.dayOfYear)
  if (date.getUTCFullYear() !== read.year || read.hour > 23 || read.minute > 59 || read.second > 59) return undefined
  const hour = read.half < 0 ? read.hour : (read.hour % 12) + 12 * read.half
  return withMicros(date.getTime() / 1000 + hour * 3600 + read.minute * 60 + read.second - read.east, read.micros)
}

function withMicros(seconds: number, micros: number): Numeric {
  return micros === 0 ? fromNumber(seconds) : double(seconds + micros / MICROS)
}

/** A number, written with `width` digits and read with that many or fewer. */
function digits(width: number, part: keyof Moment | undefined, of: (date: Date) => number, fill = '0'): Field {
  return {
    shape: new RegExp(`^ ?[0-9]{1,${width}}`),
    part,
    value: Number,
    write: date => String(of(date)).padStart(width, fill),
  }
}

/** One of some names, in full or its first three letters; the number read counts from `base`. */
function name(
  names: readonly string[],
  short: boolean,
  part: keyof Moment | undefined,
  of: (date: Date) => number,
  base = 0,
): Field {
  const starts = names.map(each => each.slice(0, 3).toLowerCase())
  return {
    shape: new RegExp(`^(?:${names.map(each => `${each}|${each.slice(0, 3)}`).join('|')})`, 'i'),
    part,
    value: text => starts.indexOf(text.slice(0, 3).toLowerCase()) + base,
    write: date => (short ? names[of(date)]!.slice(0, 3) : names[of(date)]!),
  }
}

function fraction(width: number): Field {
  return {
    shape: /^[0-9]{1,6}/,
    part: 'micros',
    value: text => Number(text.padEnd(6, '0')),
    write: (_, micros) => String(micros).padStart(6, '0').slice(0, width),
  }
}

/** A character that stands for itself and would be awkward to write. */
function character(text: string): Field {
  return { shape: new RegExp(`^${text}`), part: undefined, value: Number, write: () => text }
}

function secondsEast(zone: string): number {
  const [, sign, hours, minutes] = /^([+-])([0-9]{2}):?([0-9]{2})$/.exec(zone) ?? []
  const seconds = Number(hours ?? 0) * 3600 + Number(minutes ?? 0) * 60
  return sign === '-' ? -seconds : seconds
}

const DAYS = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ')
const MONTHS = 'January February March April May June July August September October November December'.split(' ')

const month = (date: Date): number => date.getUTCMonth()
const day = (date: Date): number => date.getUTCDate()
const weekday = (date: Date): number => date.getUTCDay()
const year = (date: Date): number => date.getUTCFullYear()

function yearInCentury(): Field {
  const field = digits(2, 'year', date => ((year(date) % 100) + 100) % 100)
  return { ...field, value: text => Number(text) + (Number(text) < 69 ? 2000 : 1900) }
}

function dayOfYear(date: Date): number {
  const newYear = new Date(date)
  newYear.setUTCMonth(0, 1)
  return Math.round((date.getTime() - newYear.getTime()) / DAY_MS) + 1
}

const SHORTHANDS: ReadonlyMap<string, string> = new Map([
  ['%T', '%H:%M:%S'],
  ['%F', '%Y-%m-%d'],
  ['%D', '%m/%d/%y'],
  ['%R', '%H:%M'],
  ['%h', '%b'],
])

const FIELDS: ReadonlyMap<string, Field> = new Map([
  ['Y', digits(4, 'year', year)],
  ['y', yearInCentury()],
  ['m', digits(2, 'month', date => month(date) + 1)],
  ['b', name(MONTHS, true, 'month', month, 1)],
  ['B', name(MONTHS, false, 'month', month, 1)],
  ['d', digits(2, 'day', day)],
  ['e', digits(2, 'day', day, ' ')],
  ['j', digits(3, 'dayOfYear', dayOfYear)],
  ['a', name(DAYS, true, undefined, weekday)],
  ['A', name(DAYS, false, undefined, weekday)],
  ['u', digits(1, undefined, date => weekday(date) || 7)],
  ['w', digits(1, undefined, weekday)],
  ['H', digits(2, 'hour', date => date.getUTCHours())],
  ['I', digits(2, 'hour', date => date.getUTCHours() % 12 || 12)],
  ['p', name(['AM', 'PM'], false, 'half', date => (date.getUTCHours() < 12 ? 0 : 1))],
  ['M', digits(2, 'minute', date => date.getUTCMinutes())],
  ['S', digits(2, 'second', date => date.getUTCSeconds())],
  ['f', fraction(6)],
  ['06f', fraction(6)],
  ['03f', fraction(3)],
  ['s', { shape: /^-?[0-9]{1,14}/, part: 'epoch', value: Number, write: date => String(date.getTime() / 1000) }],
  ['z', { shape: /^(?:Z|[+-][0-9]{2}:?[0-9]{2})/, part: 'east', value: secondsEast, write: () => '+0000' }],
  ['Z', { shape: /^(?:UTC|GMT|Z)/, part: undefined, value: Number, write: () => 'UTC' }],
  ['n', character('\n')],
  ['t', character('\t')],
  ['%', character('%')],
])

const KNOWN = [...[...FIELDS.keys()].map(field => `%${field}`), ...SHORTHANDS.keys()].join(' ')
