import { execFileSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

const SOURCE = path.join(import.meta.dirname, '../powerloss.c')
/** What a disk writes whole or not at all. */
const SECTOR = 512
const HEAD_BYTES = 40
const MAGIC = 0x474f4c53

export type Loss =
  /** Nothing that was not flushed is there. */
  | 'none'
  /** Each sector that was not flushed is there or not, at random. */
  | 'random'
  /** Only the latest writes are there, those before them are not: the disk wrote in another order. */
  | 'last'

interface Write {
  readonly offset: number
  readonly oldSize: number
  readonly old: Buffer
  /** Absent: the file was made longer. */
  readonly bytes: Buffer | undefined
}

let built: string | undefined | false

/**
 * The path of the preload library, built from `powerloss.c` on first use; undefined where that cannot be.
 */
export function buildDisk(): string | undefined {
  if (built === undefined) built = build()
  return built === false ? undefined : built
}

/** Why there is no such library, and the line that helps. */
export const NO_DISK =
  'SKIPPED: the preload library cannot be built or loaded here (Linux with a C compiler is needed): apt-get install -y gcc libc6-dev'

function build(): string | false {
  if (process.platform !== 'linux') return false
  const folder = path.join(tmpdir(), `sluice-disk-${process.pid}`)
  const library = path.join(folder, 'powerloss.so')
  mkdirSync(folder, { recursive: true })
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  try {
    execFileSync('cc', ['-shared', '-fPIC', '-O2', '-o', library, SOURCE, '-ldl', '-lpthread'], { stdio: 'pipe' })
    return library
  } catch (error) {
    // No compiler is a reason to skip; a fault in our source is not.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw new Error(`powerloss.c does not compile: ${(error as { stderr?: Buffer }).stderr}`)
  }
}

/** The disk under one data folder, which fails as it is told to. */
export class Disk {
  readonly #file: string
  readonly #state: string
  readonly #library: string

  /**
   * @param folder of the data, absolute
   * @param state a folder for the library's notes, outside of the data
   */
  constructor(library: string, folder: string, state: string) {
    this.#library = library
    this.#file = path.join(folder, 'data.mdb')
    this.#state = state
    mkdirSync(state, { recursive: true })
  }

  /** To be put into the environment of the server. */
  get env(): Readonly<Record<string, string>> {
    return { LD_PRELOAD: this.#library, SLUICE_DISK_FILE: this.#file, SLUICE_DISK_STATE: this.#state }
  }

  /** What fails from now on: words as in `powerloss.c`; none: nothing does. */
  fail(...words: readonly string[]): void {
    writeFileSync(path.join(this.#state, 'control'), `${words.join(' ')}\n`)
  }

  /** Sets the wall clock of the server this far ahead of the true one, in ms; at once, as an operator does. */
  setClock(aheadMs: number): void {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(BigInt(aheadMs))
    // In place: the server has the file mapped.
    const fd = openSync(path.join(this.#state, 'clock'), 'r+')
    writeSync(fd, bytes, 0, bytes.length, 0)
    closeSync(fd)
  }

  /** Calls seen since the last start. */
  counts(): { readonly dataWrites: number; readonly metaWrites: number; readonly flushes: number } {
    const [dataWrites = 0, metaWrites = 0, flushes = 0] = readFileSync(path.join(this.#state, 'counts'), 'utf8')
      .trim()
      .split(/\s+/)
      .map(Number)
    return { dataWrites, metaWrites, flushes }
  }

  /** When the first call failed or was delayed, in ms of the machine's monotonic clock; undefined: none did. */
  failedAt(): number | undefined {
    const file = path.join(this.#state, 'failed')
    return existsSync(file) ? Number(readFileSync(file, 'utf8')) || undefined : undefined
  }

  /** How many writes a loss of power could take now. */
  get unflushed(): number {
    return this.#log().length
  }

  /**
   * Makes of the file what a loss of power would have left. Only while no server runs.
   *
   * @param random from 0 to below 1
   * @returns how many writes were lost, as a whole or in part
   */
  losePower(loss: Loss, random: () => number): number {
    const writes = this.#log()
    rmSync(path.join(this.#state, 'log'), { force: true })
    this.fail()
    const isNew = existsSync(path.join(this.#state, 'created'))
    rmSync(path.join(this.#state, 'created'), { force: true })
    if (isNew && loss !== 'last') {
      // The folder was not flushed: it may not know of the file.
      rmSync(this.#file, { force: true })
      return writes.length
    }
    if (writes.length === 0) return 0
    const fd = openSync(this.#file, 'r+')
    try {
      for (const { offset, oldSize, old } of [...writes].reverse()) {
        writeAt(fd, old, offset)
        ftruncateSync(fd, oldSize)
      }
      if (loss === 'none') return writes.length
      const kept = loss === 'last' ? Math.floor(random() * writes.length) : 0
      for (const { offset, bytes } of writes.slice(kept)) if (bytes) writeSectors(fd, bytes, offset, loss, random)
    } finally {
      closeSync(fd)
    }
    return writes.length
  }

  #log(): readonly Write[] {
    const file = path.join(this.#state, 'log')
    const log = existsSync(file) ? readFileSync(file) : Buffer.alloc(0)
    const writes: Write[] = []
    for (let at = 0; at + HEAD_BYTES <= log.length; ) {
      if (log.readUInt32LE(at) !== MAGIC) throw new Error(`the log of the disk makes no sense at ${at}`)
      const isWrite = log.readUInt32LE(at + 4) === 1
      const [offset, length, oldSize, oldLength] = [8, 16, 24, 32].map(k => Number(log.readBigUInt64LE(at + k))) as [
        number,
        number,
        number,
        number,
      ]
      const old = log.subarray(at + HEAD_BYTES, at + HEAD_BYTES + oldLength)
      const end = at + HEAD_BYTES + oldLength + (isWrite ? length : 0)
      // Killed while it noted the write, which had not begun.
      if (end > log.length) break
      writes.push({ offset, oldSize, old, bytes: isWrite ? log.subarray(end - length, end) : undefined })
      at = end
    }
    return writes
  }
}

function writeAt(fd: number, bytes: Uint8Array, offset: number): void {
  if (bytes.length > 0) writeSync(fd, bytes, 0, bytes.length, offset)
}

function writeSectors(fd: number, bytes: Buffer, offset: number, loss: Loss, random: () => number): void {
  for (let at = 0; at < bytes.length; ) {
    // By the sectors of the disk, not of the write.
    const end = Math.min(bytes.length, at + SECTOR - ((offset + at) % SECTOR))
    if (loss === 'last' || random() < 0.5) writeAt(fd, bytes.subarray(at, end), offset + at)
    at = end
  }
}
