/** One line of JSON a thing that an operator should know. Names of events are stable; bodies and secrets are never logged. */
export interface Log {
  info(event: string, facts?: LogFacts): void
  warn(event: string, facts?: LogFacts): void
  error(event: string, facts?: LogFacts): void
}

export type LogFacts = Readonly<Record<string, string | number | boolean | undefined>>

type Level = 'info' | 'warn' | 'error'

/** JSON escapes what could forge a line or move a cursor. */
export function jsonLog(write: (line: string) => void): Log {
  const at =
    (level: Level) =>
    (event: string, facts: LogFacts = {}) =>
      write(`${JSON.stringify({ time: new Date().toISOString(), level, event, ...facts })}\n`)
  return { info: at('info'), warn: at('warn'), error: at('error') }
}

export const silentLog: Log = { info() {}, warn() {}, error() {} }
