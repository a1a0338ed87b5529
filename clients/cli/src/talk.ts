import { styleText } from 'node:util'
import { drawBar, type Step } from './bar.ts'
import type { Terminal } from './io.ts'

export type ProgressMode = 'bar' | 'json' | 'none'
type Style = Parameters<typeof styleText>[0]

/** How often a bar is drawn again, and a line of JSON written. */
const DRAW_EVERY_MS = 100
const REPORT_EVERY_MS = 1_000

/**
 * What a command says to the person beside it, on stderr: sentences, and the progress of long work.
 * A bar stays in the last line; sentences said meanwhile go above it.
 */
export class Talk {
  readonly #stream: Terminal
  readonly #mode: ProgressMode
  readonly #color: boolean
  #current: (() => Step) | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(stream: Terminal, options: { readonly progress: ProgressMode; readonly color: boolean }) {
    this.#stream = stream
    this.#mode = options.progress
    this.#color = options.color
    // Talk that nobody hears any more (`2>&1 | head -1`) is no reason to fail.
    stream.on('error', () => {})
  }

  /** Progress is drawn, not reported. */
  get hasBar(): boolean {
    return this.#mode === 'bar'
  }

  say(line: string): void {
    this.#clear()
    this.#stream.write(`${line}\n`)
    this.#draw()
  }

  done(line: string): void {
    this.say(` ${this.style('green', '✔')} ${line}`)
  }

  warn(line: string): void {
    this.say(` ${this.style('yellow', '!')} ${line}`)
  }

  failed(line: string): void {
    this.say(` ${this.style('red', '✖')} ${line}`)
  }

  style(style: Style, text: string): string {
    return this.#color ? styleText(style, text) : text
  }

  /** Shows how far `step` says we are, until the returned function is called, which shows it a last time. */
  progress(step: () => Step): () => void {
    if (this.#mode === 'none') return () => {}
    this.#current = step
    const show = this.#mode === 'bar' ? () => this.#draw() : () => this.#report(step())
    this.#timer = setInterval(show, this.#mode === 'bar' ? DRAW_EVERY_MS : REPORT_EVERY_MS)
    this.#timer.unref()
    if (this.#mode === 'bar') this.#draw()
    return () => {
      if (this.#current !== step) return
      clearInterval(this.#timer)
      show()
      if (this.#mode === 'bar') this.#stream.write('\n')
      this.#current = undefined
    }
  }

  #draw(): void {
    if (this.#mode !== 'bar' || this.#current === undefined) return
    const line = drawBar(this.#current(), this.#stream.columns ?? 80, (style, text) => this.style(style, text))
    // Back to the first column and clear what is there: the line never grows past the edge, so it never wraps.
    this.#stream.write(`\r\u001b[K${line}`)
  }

  #clear(): void {
    if (this.#mode === 'bar' && this.#current !== undefined) this.#stream.write('\r\u001b[K')
  }

  #report(step: Step): void {
    this.#stream.write(`${JSON.stringify(step.report)}\n`)
  }
}
