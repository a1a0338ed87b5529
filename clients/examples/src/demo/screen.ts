import { stripVTControlCharacters, styleText } from 'node:util'

/** How far something is: a share from 0 to 1, and words beside the bar. */
export interface Progress {
  readonly share: number
  readonly text: string
}

const LABEL_WIDTH = 9
const BAR_WIDTH = 26
const DRAW_EVERY_MS = 100
const isTerminal = process.stdout.isTTY === true
const hasColor = isTerminal && !process.env['NO_COLOR']

type Style = Parameters<typeof styleText>[0]

export function paint(style: Style, text: string): string {
  return hasColor ? styleText(style, text) : text
}

/** ` label      text`, above a bar if there is one. */
export function say(label: string, text: string): void {
  const line = ` ${padded(label)} ${text}\n`
  process.stdout.write(current === undefined || !isTerminal ? line : `\r\u001b[K${line}`)
  draw()
}

let current: { readonly label: string; readonly progress: () => Progress } | undefined

/** Shows a bar until the returned function is called; in a file or a pipe only how it ended. */
export function showProgress(label: string, progress: () => Progress): () => void {
  current = { label, progress }
  const timer = isTerminal ? setInterval(draw, DRAW_EVERY_MS) : undefined
  return () => {
    clearInterval(timer)
    if (current === undefined) return
    if (isTerminal) process.stdout.write(`\r\u001b[K${barLine(current)}\n`)
    else process.stdout.write(` ${padded(label)} ${progress().text}\n`)
    current = undefined
  }
}

function draw(): void {
  if (current !== undefined && isTerminal) process.stdout.write(`\r\u001b[K${barLine(current)}`)
}

function barLine({ label, progress }: NonNullable<typeof current>): string {
  const { share, text } = progress()
  // One column is left free: a line that reaches the edge would wrap.
  const width = Math.max(0, Math.min(BAR_WIDTH, (process.stdout.columns ?? 80) - text.length - 14))
  const full = Math.round(Math.min(1, share) * width)
  return ` ${padded(label)} ${paint('green', '█'.repeat(full))}${paint('dim', '░'.repeat(width - full))}  ${text}`
}

/** Colours take no room. */
function padded(label: string): string {
  return label + ' '.repeat(Math.max(0, LABEL_WIDTH - stripVTControlCharacters(label).length))
}
