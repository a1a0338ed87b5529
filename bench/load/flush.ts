import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'

/** About one commit at a window of 1,000 messages of 100 bytes. */
export const FLUSH_BYTES = 64 * 1024
const MEASURE_MS = 300

/** The bare disk: how often per second 64 KiB can be appended to a file and flushed with `fdatasync`. */
export function flushesPerSecond(dataFolder: string): number {
  const folder = mkdtempSync(join(dataFolder, 'sluice-bench-'))
  const file = openSync(join(folder, 'flush'), 'w')
  const bytes = Buffer.alloc(FLUSH_BYTES, 'x')
  const start = performance.now()
  let count = 0
  while (performance.now() - start < MEASURE_MS) {
    writeSync(file, bytes)
    fdatasyncSync(file)
    count += 1
  }
  const seconds = (performance.now() - start) / 1000
  closeSync(file)
  rmSync(folder, { recursive: true })
  return count / seconds
}
