const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const oneDigit = new Intl.NumberFormat('en', { maximumFractionDigits: 1 })

export function count(value: number | undefined): string {
  return value === undefined ? 'not shown' : whole.format(value)
}

export function counted(value: number, one: string, many: string = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`
}

/** A second; small ones with a digit, so that slow is not nothing. */
export function rate(value: number | undefined): string {
  if (value === undefined) return '–'
  return value > 0 && value < 10 ? oneDigit.format(value) : whole.format(value)
}

/** Never 100 before all of it is done. */
export function percent(part: number, of: number): string {
  if (of === 0) return '0 %'
  return `${part >= of ? 100 : Math.min(99, Math.floor((part / of) * 100))} %`
}

export function bytes(value: number | undefined): string {
  if (value === undefined) return 'not shown'
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let size = value
  let unit = 0
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024
    unit += 1
  }
  return `${unit === 0 ? whole.format(size) : oneDigit.format(size)} ${units[unit]}`
}

const STEPS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1_000],
] as const

/** The two largest units: `4 min 12 s`. */
export function duration(ms: number): string {
  const at = STEPS.findIndex(([, size]) => ms >= size)
  if (at === -1) return ms > 0 ? 'under 1 s' : '0 s'
  const [unit, size] = STEPS[at]!
  const next = STEPS[at + 1]
  const main = Math.floor(ms / size)
  const rest = next === undefined ? 0 : Math.floor((ms % size) / next[1])
  return rest === 0 ? `${main} ${unit}` : `${main} ${unit} ${rest} ${next![0]}`
}

/** The time of day; with the day if it is another one. */
export function clock(at: string | number, now: number): string {
  const date = new Date(at)
  const time = date.toLocaleTimeString('en-GB')
  return date.toDateString() === new Date(now).toDateString() ? time : `${isoDay(date)} ${time}`
}

function isoDay(date: Date): string {
  const two = (value: number): string => `${value}`.padStart(2, '0')
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
}

/** How a barrier is called in paths and to people. */
export function barrierName({ name, sequence }: { readonly name?: string; readonly sequence?: number }): string {
  return name ?? (sequence === undefined ? 'no barrier yet' : `@${sequence}`)
}
