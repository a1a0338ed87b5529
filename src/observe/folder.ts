import { readdir, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'

/** Size of a block of `stat`, whatever the file system's is (POSIX, sys/stat.h). */
const BLOCK_BYTES = 512

/** What is free, and how large the disk is, where a folder stands. */
export async function spaceOf(folder: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number }> {
  const { bavail, blocks, bsize } = await statfs(folder)
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize }
}

/** What the files of a folder take on disk; holes in them take nothing. */
export async function bytesIn(folder: string): Promise<number> {
  const names = await readdir(folder)
  const sizes = await Promise.all(
    names.map(name => stat(join(folder, name)).then(({ blocks }) => blocks * BLOCK_BYTES)),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}
