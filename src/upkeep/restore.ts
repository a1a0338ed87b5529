import { existsSync, readdirSync, rmSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { JournalFailure } from '../journal/journal.ts'
import { prepareFolder } from '../journal/lmdb/folder.ts'
import { lockFolder } from '../journal/lmdb/lock.ts'
import { rebuild } from '../journal/lmdb/rebuild.ts'
import type { ScanReport } from '../journal/table/scan.ts'
import { BackupError, type Manifest, measure, readManifest } from './manifest.ts'

export interface Restored {
  readonly manifest: Manifest
  readonly contents: ScanReport
}

/**
 * Puts a backup into a data folder, which is made or empty; no server runs on it. The files are compared with what the
 * backup says of them, every row with its checksum, and the data are written anew, as small as they can be. Takes up to
 * twice their size for a while.
 *
 * @throws BackupError, JournalFailure; then there are no data in the folder
 */
export async function restoreBackup(from: string, data: string): Promise<Restored> {
  const manifest = readManifest(from)
  await refuseUnlessEmpty(data)
  prepareFolder(data)
  const copies: { readonly name: string; readonly copy: string }[] = []
  try {
    for (const { name, bytes, sha256 } of manifest.files) {
      const copy = join(data, `restoring-${name}`)
      copies.push({ name, copy })
      const found = await measured(join(from, name), copy)
      if (found.bytes !== bytes || found.sha256 !== sha256) {
        const text = `${name} in ${from} is not as it was when the backup was taken (${found.bytes} bytes of ${bytes}): take another backup`
        throw new BackupError('damaged-backup', text)
      }
    }
    const database = copies.find(({ name }) => name === 'data.mdb')?.copy ?? ''
    const others = copies.filter(({ copy }) => copy !== database)
    for (const { name, copy } of others) await rename(copy, join(data, name))
    const contents = await rebuild(database, data)
    return { manifest, contents }
  } catch (error) {
    for (const { name, copy } of copies) for (const file of [copy, join(data, name)]) rmSync(file, { force: true })
    throw error
  }
}

async function measured(file: string, copy: string): ReturnType<typeof measure> {
  try {
    return await measure(file, copy)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
    throw new BackupError('damaged-backup', `${file} is missing: take another backup`, { cause })
  }
}

async function refuseUnlessEmpty(data: string): Promise<void> {
  if (!existsSync(data) || readdirSync(data).length === 0) return
  // Held by a server, or only not empty: who restores must know which.
  try {
    const lock = await lockFolder(data)
    await lock.release()
  } catch (cause) {
    if (!(cause instanceof JournalFailure) || cause.code !== 'locked') throw cause
    throw new BackupError('folder-in-use', `${cause.message}. Stop it, or restore into another folder`, { cause })
  }
  const text = `${data} is not empty. Restore into a folder that is new, or move this one away first: mv ${data} ${data}.old`
  throw new BackupError('folder-not-empty', text)
}
