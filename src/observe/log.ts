import { type DestinationStream, destination, pino, stdTimeFunctions } from 'pino'

/** One line of JSON a thing that an operator should know. Names of events are stable; bodies and secrets are never logged. */
export interface Log {
  info(event: string, facts?: LogFacts): void
  warn(event: string, facts?: LogFacts): void
  error(event: string, facts?: LogFacts): void
}

export type LogFacts = Readonly<Record<string, string | number | boolean | undefined>>

/** Nobody hands these over; should somebody, they are not written. */
const NEVER_WRITTEN = ['authorization', 'body', 'cookie', 'password', 'secret', 'token']

/** What JSON leaves as it is and a terminal or a reader of lines may not: DEL and the second set of controls (among them an ESC [ of one character), the line ends of Unicode, and what turns the direction of text. */
const UNSAFE = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g

/** Lines kept while standard error takes none; beyond them new ones are lost. */
const WAITING_BYTES_MAX = 2 ** 20

/**
 * JSON, with everything escaped that could forge a line, move a cursor, or show a name as another.
 *
 * @param write gets whole lines; absent: standard error, where a line is before the call returns, for the process may end
 *   with the next statement
 */
export function jsonLog(write: (line: string) => void = toStandardError()): Log {
  const stream: DestinationStream = { write: line => write(escaped(line)) }
  const options = {
    // Neither process nor host: whoever collects lines knows where they are from.
    base: null,
    messageKey: 'event',
    timestamp: stdTimeFunctions.isoTime,
    formatters: { level: (level: string) => ({ level }) },
    redact: { paths: NEVER_WRITTEN, censor: '[redacted]' },
  }
  const logger = pino(options, stream)
  return {
    info: (event, facts = {}) => logger.info(facts, event),
    warn: (event, facts = {}) => logger.warn(facts, event),
    error: (event, facts = {}) => logger.error(facts, event),
  }
}

function toStandardError(): (line: string) => void {
  const stream = destination({ dest: 2, sync: true, maxLength: WAITING_BYTES_MAX })
  // A full disk of the log, or a reader that has gone, must not stop the queues.
  stream.on('error', () => {})
  return line => stream.write(line)
}

function escaped(json: string): string {
  return json.replace(UNSAFE, character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

export const silentLog: Log = { info() {}, warn() {}, error() {} }
