/** One line of JSON a thing that an operator should know. Names of events are stable; bodies and secrets are never logged. */
export interface Log {
  info(event: string, facts?: LogFacts): void
  warn(event: string, facts?: LogFacts): void
  error(event: string, facts?: LogFacts): void
}

export type LogFacts = Readonly<Record<string, string | number | boolean | undefined>>

type Level = 'info' | 'warn' | 'error'

/** What JSON leaves as it is and a terminal or a reader of lines may not: DEL and the second set of controls (among them an ESC [ of one character), the line ends of Unicode, and what turns the direction of text. */
const UNSAFE = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

/** JSON, with everything escaped that could forge a line, move a cursor, or show a name as another. */
export function jsonLog(write: (line: string) => void): Log {
  const at =
    (level: Level) =>
    (event: string, facts: LogFacts = {}) =>
      write(`${escaped(JSON.stringify({ time: new Date().toISOString(), level, event, ...facts }))}\n`)
  return { info: at('info'), warn: at('warn'), error: at('error') }
}

function escaped(json: string): string {
  return json.replace(UNSAFE, character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

export const silentLog: Log = { info() {}, warn() {}, error() {} }
