import { accessSync, closeSync, constants, fsyncSync, mkdirSync, openSync, readdirSync, statfsSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { JournalFailure } from '../journal.ts'

/** Types of file systems, as statfs gives them, on which LMDB loses data or the lock does not hold. */
const NETWORK_FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB'],
])

/**
 * Makes the folder, if need be, for this user alone.
 *
 * @throws JournalFailure `unusable-folder`
 */
export function prepareFolder(folder: string): void {
  try {
    const made = mkdirSync(folder, { recursive: true, mode: 0o700 })
    if (made !== undefined) syncParents(resolve(folder), resolve(made))
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (cause) {
    throw new JournalFailure('unusable-folder', `cannot use the data folder ${folder}: ${(cause as Error).message}`, {
      cause,
    })
  }
  // A link somebody has put there would have the server write over what its user may write, wherever that is.
  const link = readdirSync(folder, { withFileTypes: true }).find(entry => entry.isSymbolicLink())
  if (link !== undefined) {
    throw new JournalFailure('unusable-folder', `${link.name} in the data folder ${folder} is a symbolic link`)
  }
  const network = NETWORK_FILE_SYSTEMS.get(statfsSync(folder).type)
  if (network) {
    throw new JournalFailure(
      'unusable-folder',
      `the data folder ${folder} is on ${network}; it must be on a local disk`,
    )
  }
}

/** Makes durable which files are in the folder. */
export function syncFolder(folder: string): void {
  syncFile(folder)
}

/** Makes durable what is in the file. */
export function syncFile(file: string): void {
  const fd = openSync(file, 'r')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** A new folder survives a loss of power once its parent is flushed, and so on up to the first that was there before. */
function syncParents(folder: string, topmostMade: string): void {
  for (let at = folder; ; at = dirname(at)) {
    syncFolder(dirname(at))
    if (at === topmostMade) return
  }
}

/** Bytes that this user may still write to the disk of a folder. */
export function diskFreeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder)
  return bavail * bsize
}
