import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, release, totalmem, type } from 'node:os'

/** What a result depends on beside the code. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
  readonly kernel: string
  readonly node: string
  /** Of the folder that holds the servers' files; on `tmpfs` nothing is ever flushed. */
  readonly fileSystem: string
  /** How busy the machine was before the first run: runnable threads, mean of a minute. */
  readonly loadBefore: number
}

export function machineOf(dataFolder: string): Machine {
  const cores = cpus()
  return {
    cpu: cores[0]?.model ?? 'unknown',
    cores: cores.length,
    memoryBytes: totalmem(),
    kernel: `${type()} ${release()}`,
    node: process.version,
    fileSystem: execFileSync('stat', ['-f', '-c', '%T', dataFolder], { encoding: 'utf8' }).trim(),
    loadBefore: Number(readFileSync('/proc/loadavg', 'utf8').split(' ')[0]),
  }
}

/** The commit that is checked out, with `+` when files differ from it; empty without git. */
export function commit(): string {
  try {
    const git = (...args: string[]) =>
      execFileSync('git', args, {
        cwd: import.meta.dirname,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      }).trim()
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain') === '' ? '' : '+')
  } catch {
    // An unpacked archive can be measured as well.
    return ''
  }
}
