/** How far some work is: drawn as a bar for people, or reported as it is to programs. */
export interface Step {
  /** One word, at most 8 columns. */
  readonly label: string
  /** 0 … 1; absent while nobody can tell. */
  readonly fraction?: number
  /** Said behind the bar, most important first: what does not fit is left out from the end. */
  readonly parts: readonly string[]
  /** The same for programs, field names as in HTTP. */
  readonly report: Readonly<Record<string, string | number | boolean | null>>
}

type Paint = (style: 'green' | 'dim' | 'bold', text: string) => string

const BAR_MAX = 26
const BAR_MIN = 8
const EIGHTHS = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const

/** One line of at most `columns` − 1 columns: ` label  ██████▌░░░  part   part`. */
export function drawBar(step: Step, columns: number, paint: Paint = (_, text) => text): string {
  const label = ` ${step.label.padEnd(8)} `
  const room = columns - 1 - label.length
  if (step.fraction === undefined) return label + fitting(step.parts, room).join('   ')
  const parts = fitting(step.parts, room - BAR_MIN - 2)
  const tail = parts.join('   ')
  const width = Math.max(BAR_MIN, Math.min(BAR_MAX, room - tail.length - 2))
  const { full, rest } = barOf(step.fraction, width)
  return `${label}${paint('green', full)}${paint('dim', rest)}  ${tail}`.trimEnd()
}

function fitting(parts: readonly string[], columns: number): string[] {
  const taken: string[] = []
  let used = 0
  for (const part of parts) {
    used += part.length + (taken.length > 0 ? 3 : 0)
    if (used > columns) break
    taken.push(part)
  }
  return taken
}

function barOf(fraction: number, width: number): { full: string; rest: string } {
  const eighths = Math.round(Math.min(1, Math.max(0, fraction)) * width * 8)
  const full = '█'.repeat(Math.floor(eighths / 8)) + EIGHTHS[eighths % 8]
  return { full, rest: '░'.repeat(width - full.length) }
}
