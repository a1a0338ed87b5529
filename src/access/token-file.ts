import { closeSync, fchmodSync, fsyncSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { AccessRefused, checkGrants, checkName, checkStoredBytesMax, type Grant } from './grants.ts'

const VERSION = 1
const MODE = 0o600

/** An entry as it is kept: of the secret only its SHA-256. */
export interface StoredToken {
  readonly name: string
  readonly grants: readonly Grant[]
  readonly createdAt: number
  readonly expiresAt?: number
  /** Bytes; absent: no quota. */
  readonly storedBytesMax?: number
  /** Absent: it has no secret. */
  readonly hash?: Buffer
}

/**
 * The entries on disk: one JSON document that is written anew as a whole, so that a crash leaves the old one or the new
 * one, and readable by this user alone.
 */
export class TokenFile {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  /** @returns no entries when there is no file. @throws AccessRefused `bad-tokens-file` */
  read(): readonly StoredToken[] {
    const text = textOf(this.#path)
    if (text === undefined) return []
    try {
      const { version, tokens } = JSON.parse(text) as { version: unknown; tokens: unknown }
      if (version !== VERSION || !Array.isArray(tokens)) throw new Error(`it is not of version ${VERSION}`)
      const read = tokens.map(readToken)
      if (new Set(read.map(({ name }) => name)).size < read.length) throw new Error('two entries have one name')
      return read
    } catch (error) {
      // Not what stands there: a file put in the wrong place may hold anything.
      const why = error instanceof SyntaxError ? 'it is not JSON' : (error as Error).message
      throw new AccessRefused('bad-tokens-file', `cannot use ${this.#path}: ${why}; mend it, or take it from a backup`)
    }
  }

  /** Once it returns the entries are on disk. @throws the error of the disk; then the old ones are. */
  write(tokens: readonly StoredToken[]): void {
    writeWhole(this.#path, `${JSON.stringify({ version: VERSION, tokens: tokens.map(showToken) }, null, 2)}\n`)
  }
}

/** Writes a file that only this user can read, all of it or nothing. An existing one, or a link, is replaced, not followed. */
export function writeWhole(path: string, text: string): void {
  const temporary = `${path}.${process.pid}.new`
  rmSync(temporary, { force: true })
  const file = openSync(temporary, 'wx', MODE)
  try {
    // The mode given to open is cut by the umask, never widened; this is for a file system that knows better.
    fchmodSync(file, MODE)
    writeFileSync(file, text)
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
  renameSync(temporary, path)
  const folder = openSync(dirname(path), 'r')
  try {
    fsyncSync(folder)
  } finally {
    closeSync(folder)
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function readToken(token: unknown): StoredToken {
  const { name, sha256, created_at, expires_at, stored_bytes_max, grants } = token as Record<string, unknown>
  if (sha256 !== undefined && !(typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256))) {
    throw new Error(`the entry "${String(name)}" has a sha256 that is none`)
  }
  return {
    name: checkName(name),
    grants: checkGrants(grants),
    createdAt: readTime(created_at),
    ...(expires_at === undefined ? {} : { expiresAt: readTime(expires_at) }),
    ...(stored_bytes_max === undefined ? {} : { storedBytesMax: checkStoredBytesMax(stored_bytes_max) }),
    ...(sha256 === undefined ? {} : { hash: Buffer.from(sha256, 'hex') }),
  }
}

function showToken({ name, hash, createdAt, expiresAt, storedBytesMax, grants }: StoredToken): object {
  return {
    name,
    sha256: hash?.toString('hex'),
    created_at: new Date(createdAt).toISOString(),
    expires_at: expiresAt === undefined ? undefined : new Date(expiresAt).toISOString(),
    stored_bytes_max: storedBytesMax,
    grants,
  }
}

function readTime(value: unknown): number {
  const time = typeof value === 'string' ? Date.parse(value) : Number.NaN
  if (Number.isNaN(time)) throw new Error('an entry has a time that is none')
  return time
}
