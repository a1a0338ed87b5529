import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/** The file that makes a folder a backup: written last, so a folder without one is none. */
export const MANIFEST = 'backup.json'
const VERSION = 1

export interface BackedUpFile {
  readonly name: string
  readonly bytes: number
  /** In hex. */
  readonly sha256: string
}

export interface Manifest {
  /** Of the program that wrote it. */
  readonly sluice: string
  /** ISO 8601. */
  readonly takenAt: string
  readonly files: readonly BackedUpFile[]
}

/** Something about a backup that is not so. */
export class BackupError extends Error {
  readonly code: 'no-backup' | 'damaged-backup' | 'bad-format' | 'folder-in-use' | 'folder-not-empty'
  constructor(code: BackupError['code'], message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'BackupError'
    this.code = code
  }
}

export function manifestText({ sluice, takenAt, files }: Manifest): string {
  return `${JSON.stringify({ version: VERSION, sluice, taken_at: takenAt, files }, null, 2)}\n`
}

/** @throws BackupError `no-backup`, `bad-format`, `damaged-backup` */
export function readManifest(folder: string): Manifest {
  const document = parsed(folder)
  const { version, sluice, taken_at: takenAt, files } = document
  if (typeof version === 'number' && version > VERSION) {
    const text = `the backup in ${folder} is of version ${version}, written by Sluice ${sluice}; this one reads up to ${VERSION}: restore it with that version or a newer one`
    throw new BackupError('bad-format', text)
  }
  if (version !== VERSION || typeof sluice !== 'string' || typeof takenAt !== 'string' || !isFiles(files)) {
    throw new BackupError('damaged-backup', `${MANIFEST} in ${folder} does not say what a backup says`)
  }
  return { sluice, takenAt, files }
}

function parsed(folder: string): Record<string, unknown> {
  try {
    return JSON.parse(readFileSync(join(folder, MANIFEST), 'utf8')) as Record<string, unknown>
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') {
      const text = `there is no whole backup in ${folder}: ${MANIFEST}, which is written last, is missing`
      throw new BackupError('no-backup', text, { cause })
    }
    const why = cause instanceof SyntaxError ? 'it is not JSON' : (cause as Error).message
    throw new BackupError('damaged-backup', `cannot read ${MANIFEST} in ${folder}: ${why}`, { cause })
  }
}

/** Only plain names: what comes from elsewhere must not write anywhere. */
function isFiles(files: unknown): files is BackedUpFile[] {
  const isOne = (file: Partial<BackedUpFile> | null): boolean =>
    /^[a-z]+\.[a-z]+$/.test(String(file?.name)) &&
    Number.isSafeInteger(file?.bytes) &&
    /^[0-9a-f]{64}$/.test(String(file?.sha256))
  return Array.isArray(files) && files.every(isOne) && files.some(({ name }) => name === 'data.mdb')
}

/** Size and SHA-256 of a file, read to its end; with `to` also copied there, to a file that must not be there yet. */
export async function measure(file: string, to?: string): Promise<Omit<BackedUpFile, 'name'>> {
  const hash = createHash('sha256')
  let bytes = 0
  const count = new Transform({
    transform(chunk: Buffer, _, done) {
      bytes += chunk.length
      hash.update(chunk)
      done(null, to === undefined ? undefined : chunk)
    },
  })
  const source = createReadStream(file, { highWaterMark: 1 << 20 })
  if (to === undefined) await pipeline(source, count.resume())
  else await pipeline(source, count, createWriteStream(to, { flags: 'wx', mode: 0o600, flush: true }))
  return { bytes, sha256: hash.digest('hex') }
}
