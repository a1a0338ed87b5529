import { closeSync, createReadStream, openSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Happening, HistoryEvent } from './events.ts'

/**
 * Writes what happens, in the order it is told. Tell `*-invoke` before the bytes leave; `*-ok`, `deliver` and
 * `barrier-deliver` after they were read; `subscribe` after the server's answer; `disconnect` and `unsubscribe` before
 * the client acts, or when it notices; `server-kill` before the signal. A time-out, or a connection lost while a confirm
 * is awaited, is `publish-unknown`, never `publish-fail`.
 */
export class HistoryRecorder {
  readonly #now: () => number
  readonly #write: (event: HistoryEvent) => void

  /**
   * @param write takes each event: a checker, an array, a file, or several of them
   * @param now one clock for all recorders of the machine; default the monotonic one
   */
  constructor(write: (event: HistoryEvent) => void, now: () => number = monotonicNow) {
    this.#write = write
    this.#now = now
  }

  record(happening: Happening): void {
    this.#write({ t: this.#now(), ...happening })
  }
}

function monotonicNow(): number {
  return performance.timeOrigin + performance.now()
}

export interface HistoryFile {
  write(event: HistoryEvent): void
  close(): void
}

/** A file of one JSON object a line. Lines leave in portions; what is left goes with `close`. */
export function historyFile(path: string): HistoryFile {
  const file = openSync(path, 'w')
  let lines: string[] = []
  const flush = () => {
    if (lines.length > 0) writeSync(file, `${lines.join('\n')}\n`)
    lines = []
  }
  return {
    write(event) {
      lines.push(JSON.stringify(event))
      if (lines.length >= PORTION) flush()
    },
    close() {
      flush()
      closeSync(file)
    },
  }
}

const PORTION = 256

/** The events of a file, one after the other. @throws SyntaxError, naming the line, for what is no JSON */
export async function* readHistory(path: string): AsyncGenerator<HistoryEvent> {
  let line = 0
  for await (const text of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
    line += 1
    if (text.trim() === '') continue
    try {
      yield JSON.parse(text) as HistoryEvent
    } catch (cause) {
      throw new SyntaxError(`${path}, line ${line}: no JSON`, { cause })
    }
  }
}
