const NUMBERS = new Intl.NumberFormat('en-US')

/** `1,204,331`; `?` for what this token is not told */
export function count(value: number): string {
  return Number.isNaN(value) ? '?' : NUMBERS.format(Math.round(value))
}

/** `1 message`, `1,204 messages`; `many` for what has no `s` */
export function counted(value: number, noun: string, many: string = `${noun}s`): string {
  return `${count(value)} ${value === 1 ? noun : many}`
}

/** `48,200/s` */
export function rate(perSecond: number): string {
  return `${count(perSecond)}/s`
}

const BYTES = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** `812 bytes`, `16.0 MiB` */
export function sized(bytes: number): string {
  let unit = 0
  let amount = bytes
  for (; amount >= 1_024 && unit < BYTES.length - 1; unit += 1) amount /= 1_024
  return unit === 0 ? counted(bytes, 'byte') : `${amount.toFixed(1)} ${BYTES[unit]}`
}

/** `0.4s`, `25s`, `5m08s`, `1h02m` */
export function elapsed(ms: number): string {
  if (ms < 9_950) return `${(ms / 1_000).toFixed(1)}s`
  const seconds = Math.round(ms / 1_000)
  if (seconds < 60) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}m${String(seconds % 60).padStart(2, '0')}s`
  return `${Math.floor(minutes / 60)}h${String(minutes % 60).padStart(2, '0')}m`
}
