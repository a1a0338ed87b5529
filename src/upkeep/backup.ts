import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { copyFile, statfs } from 'node:fs/promises'
import { dirname, isAbsolute, join } from 'node:path'
import { isLoopback } from '../config/exposure.ts'
import type { Journal } from '../journal/journal.ts'
import type { Log } from '../observe/log.ts'
import { MANIFEST, manifestText, measure } from './manifest.ts'

interface Asker {
  /** Absent: nobody is asked who he is here. */
  readonly principal: { readonly name: string; readonly isAdmin: boolean } | undefined
  readonly address: string
}

export interface BackupTaken {
  readonly folder: string
  readonly bytes: number
  readonly takenAt: string
}

export interface BackupRefusal {
  readonly code: 'not-allowed' | 'invalid-request' | 'folder-not-usable' | 'server-busy'
  readonly detail: string
  readonly facts?: Readonly<Record<string, string | number>>
}

/** What is in the data folder beside the data, and belongs to them. */
const OTHER_FILES = ['tokens.json'] as const
/** Free space that must be left behind on a disk, which is mostly that of the data: a full one stops the server. */
const LEFT_FREE_SHARE = 0.05
const LEFT_FREE_BYTES: number = 512 * 2 ** 20

interface Terms {
  /** Absent: the server keeps nothing. */
  readonly data: string | undefined
  readonly journal: Journal
  readonly log: Log
  /** Of the program. */
  readonly version: string
  /** The server asks nobody who he is. */
  readonly isOpen: boolean
  /** Bytes that stay free on the disk of the backup; absent: the larger of 5 % and 512 MiB. */
  readonly freeMin?: number
  /** The time, in ms since the epoch. */
  readonly now: () => number
}

/** Takes copies of the data while the server runs, each as the data are after one commit. */
export class Backups {
  readonly #terms: Terms
  #isRunning = false

  constructor(terms: Terms) {
    this.#terms = terms
  }

  /**
   * Writes a backup into a folder of this machine, which is made, or is empty. One at a time.
   *
   * @param folder anything: it is checked here
   */
  async take(by: Asker, folder: unknown): Promise<BackupTaken | BackupRefusal> {
    const refusal = this.#refusal(by)
    if (refusal !== undefined) return refusal
    const { data, log } = this.#terms
    if (data === undefined)
      return { code: 'invalid-request', detail: 'this server keeps nothing: it runs with --memory' }
    if (typeof folder !== 'string' || !isAbsolute(folder) || folder.includes('\0')) {
      const detail = "folder must be an absolute path on the server's machine, such as /var/backups/sluice/2026-11-21"
      return { code: 'invalid-request', detail, facts: { field: 'folder' } }
    }
    if (this.#isRunning)
      return { code: 'server-busy', detail: 'another backup is being taken; ask again once it is done' }
    this.#isRunning = true
    const startedAt = this.#terms.now()
    try {
      const taken = await this.#takeInto(folder, data, startedAt)
      if (!('code' in taken)) {
        const ms = this.#terms.now() - startedAt
        log.info('backup-taken', { folder, bytes: taken.bytes, ms, principal: by.principal?.name, address: by.address })
      }
      return taken
    } catch (error) {
      log.warn('backup-failed', { folder, reason: (error as Error).message })
      return { code: 'folder-not-usable', detail: `no backup was written: ${(error as Error).message}` }
    } finally {
      this.#isRunning = false
    }
  }

  #refusal({ principal, address }: Asker): BackupRefusal | undefined {
    const { isOpen, log } = this.#terms
    // It writes to folders outside of the data: where anybody may come in, only who is on this machine anyway may do that.
    if (principal === undefined ? isOpen && isLoopback(address) : principal.isAdmin) return undefined
    log.warn('not-allowed', { act: 'backup', principal: principal?.name, address })
    const detail =
      principal === undefined
        ? 'a server that asks nobody who he is takes backups only for the machine it runs on: run the command there'
        : 'this token may not take backups; that takes admin on the queue *'
    return { code: 'not-allowed', detail }
  }

  async #takeInto(folder: string, data: string, takenAtMs: number): Promise<BackupTaken | BackupRefusal> {
    if (existsSync(folder) && readdirSync(folder).length > 0) {
      return {
        code: 'folder-not-usable',
        detail: `${folder} is not empty: a backup is written into a folder of its own`,
      }
    }
    const made = mkdirSync(folder, { recursive: true, mode: 0o700 })
    const shortage = await this.#shortage(folder, data)
    const files: { name: string; bytes: number; sha256: string }[] = []
    try {
      if (shortage !== undefined) throw new Error(shortage)
      const { journal, version } = this.#terms
      // Tokens first: one made meanwhile is missing, but none that was revoked before comes back.
      const others = OTHER_FILES.filter(name => existsSync(join(data, name)))
      for (const name of others) await copyFile(join(data, name), join(folder, name))
      if (journal.copyTo === undefined) throw new Error('this journal cannot be copied')
      await journal.copyTo(join(folder, 'data.mdb'))
      for (const name of ['data.mdb', ...others]) {
        flush(join(folder, name))
        files.push({ name, ...(await measure(join(folder, name))) })
      }
      const takenAt = new Date(takenAtMs).toISOString()
      writeFileSync(join(folder, MANIFEST), manifestText({ sluice: version, takenAt, files }), {
        mode: 0o600,
        flag: 'wx',
      })
      for (const path of [join(folder, MANIFEST), folder, dirname(folder)]) flush(path)
      return { folder, bytes: files.reduce((sum, { bytes }) => sum + bytes, 0), takenAt }
    } catch (error) {
      // A part of a backup is of no use, and must not be in the way of the next.
      for (const name of ['data.mdb', ...OTHER_FILES, MANIFEST]) rmSync(join(folder, name), { force: true })
      if (made !== undefined) rmSync(made, { recursive: true, force: true })
      throw error
    }
  }

  async #shortage(folder: string, data: string): Promise<string | undefined> {
    const { bavail, blocks, bsize } = await statfs(folder)
    const needed = statSync(join(data, 'data.mdb')).size
    const left = this.#terms.freeMin ?? Math.max(LEFT_FREE_SHARE * blocks * bsize, LEFT_FREE_BYTES)
    if (bavail * bsize - needed >= left) return undefined
    return `the backup takes ${mebibytes(needed)} MiB, the disk of ${folder} has ${mebibytes(bavail * bsize)} MiB free, and ${mebibytes(left)} MiB must be left: choose another disk`
  }
}

function flush(path: string): void {
  const fd = openSync(path, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

function mebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20)
}
