import { closeSync, openSync, readFileSync, writeSync } from 'node:fs'
import { type Happening, type HistoryEvent, HistoryRecorder } from '../../support/history/history.ts'

/** The monotonic clock of the machine, in ms: one for all processes, and no step of the wall clock moves it. */
export function machineNow(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

/** What a process tells beside the history. */
export type Note =
  /** The wait for a barrier was answered. */
  | { readonly note: 'released'; readonly name: string; readonly outcome: string; readonly published: number }
  /** A barrier was confirmed to its publisher, who waits for it now. */
  | { readonly note: 'waiting'; readonly name: string }
  /** Something that must not happen. */
  | { readonly note: 'wrong'; readonly what: string }

type Line = HistoryEvent | Note

/** Writes each line at once, so that a kill of this process loses none that was told. */
export class Notebook {
  readonly #file: number
  readonly #process: string
  readonly #recorder: HistoryRecorder

  constructor(path: string, process: string) {
    this.#file = openSync(path, 'a')
    this.#process = process
    this.#recorder = new HistoryRecorder(event => this.#write(event), machineNow)
  }

  /** Tells what happened to this process. */
  event(happening: Happening): void {
    this.#recorder.record({ process: this.#process, ...happening })
  }

  note(note: Note): void {
    this.#write(note)
  }

  close(): void {
    closeSync(this.#file)
  }

  #write(line: Line): void {
    writeSync(this.#file, `${JSON.stringify(line)}\n`)
  }
}

/** The lines of several notebooks: events in the order of time. A last line that a kill cut off is left out. */
export function readNotebooks(paths: readonly string[]): {
  readonly events: readonly HistoryEvent[]
  readonly notes: readonly Note[]
} {
  const events: HistoryEvent[] = []
  const notes: Note[] = []
  for (const path of paths) {
    for (const text of readFileSync(path, 'utf8').split('\n').slice(0, -1)) {
      const line = JSON.parse(text) as Line
      if ('note' in line) notes.push(line)
      else events.push(line)
    }
  }
  // Stable: what one process told in one instant keeps its order.
  return { events: events.sort((a, b) => a.t - b.t), notes }
}
