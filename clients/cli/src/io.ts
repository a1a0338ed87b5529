import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import type { Readable, Writable } from 'node:stream'
import { INTERRUPTED, Stop, USAGE } from './exit.ts'
import { type ProgressMode, Talk } from './talk.ts'

/** Where a command reads and writes; the process's own streams unless a test brings others. */
export interface Io {
  readonly stdin: Readable & { readonly isTTY?: boolean }
  readonly stdout: Terminal
  readonly stderr: Terminal
  readonly env: Readonly<Record<string, string | undefined>>
}

export type Terminal = Writable & { readonly isTTY?: boolean; readonly columns?: number }

/** What every command is given beside its own arguments. */
export interface Shell {
  readonly io: Io
  readonly url: string
  readonly token: string | undefined
  /** `--json`: documents for programs on stdout. */
  readonly json: boolean
  /** `--yes`: destructive commands do not ask. */
  readonly yes: boolean
  readonly talk: Talk
}

export interface CommonOptions {
  readonly url?: string
  readonly token?: string
  readonly tokenFile?: string
  readonly json?: boolean
  readonly yes?: boolean
  readonly progress?: ProgressMode
}

export const DEFAULT_URL = 'ws://127.0.0.1:7420'

export function shellOf(io: Io, options: CommonOptions): Shell {
  const progress = options.progress ?? (io.stderr.isTTY ? 'bar' : 'none')
  return {
    io,
    url: options.url ?? (io.env['SLUICE_URL'] || DEFAULT_URL),
    token: undefined,
    json: options.json ?? false,
    yes: options.yes ?? false,
    talk: new Talk(io.stderr, { progress, color: hasColor(io.stderr, io.env) }),
  }
}

/**
 * Who it is that asks: what was typed beats the environment, and a token beats a file.
 *
 * @throws Stop for a file that cannot be read, or both ways at once
 */
export function tokenOf(io: Io, { token, tokenFile }: CommonOptions): string | undefined {
  if (token !== undefined && tokenFile !== undefined) throw new Stop(USAGE, 'Give --token or --token-file, not both.')
  if (token !== undefined) return token
  if (tokenFile !== undefined) return readToken(tokenFile)
  if (io.env['SLUICE_TOKEN']) return io.env['SLUICE_TOKEN']
  const file = io.env['SLUICE_TOKEN_FILE']
  return file ? readToken(file) : undefined
}

function readToken(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (error) {
    throw new Stop(USAGE, `The token cannot be read from ${file} (${(error as NodeJS.ErrnoException).code}).`)
  }
}

/** https://no-color.org: any value but the empty one turns colours off. */
function hasColor(stream: Terminal, env: Io['env']): boolean {
  return stream.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb'
}

/** Writes one document for programs. */
export async function printJson(shell: Shell, document: unknown): Promise<void> {
  await write(shell.io.stdout, `${JSON.stringify(document)}\n`)
}

/** Resolves once the operating system has the bytes; rejects with `EPIPE` when nobody reads any more. */
export function write(stream: Writable, chunk: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(chunk, error => (error ? reject(error) : resolve()))
  })
}

/** Asks before something is lost. Where nobody can answer, `--yes` must have been said. */
export async function confirmed(shell: Shell, question: string): Promise<void> {
  if (shell.yes) return
  if (!shell.io.stdin.isTTY || !shell.io.stderr.isTTY) {
    throw new Stop(USAGE, `${question} Nobody is here to answer; say so with --yes.`)
  }
  const terminal = createInterface({ input: shell.io.stdin, output: shell.io.stderr })
  try {
    const answer = await terminal.question(`${question} [y/N] `)
    if (!/^y(es)?$/i.test(answer.trim())) throw new Stop(INTERRUPTED, 'Nothing was changed.')
  } finally {
    terminal.close()
  }
}
