import { readdirSync, readFileSync } from 'node:fs'

/** CPU time of some processes since they began, in ms, and their memory now, in bytes. Linux only. */
export interface Usage {
  readonly cpuMs: number
  /** The part of each process's first thread: in Node, the one that runs JavaScript. */
  readonly mainThreadMs: number
  readonly rssBytes: number
}

export function readUsage(pids: readonly number[]): Usage {
  let cpuMs = 0
  let mainThreadMs = 0
  let rssBytes = 0
  for (const pid of pids) {
    // Threads one by one: `schedstat` counts nanoseconds, the sum in /proc/PID/stat only steps of 10 ms.
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const ms = threadMs(pid, thread)
      cpuMs += ms
      if (thread === String(pid)) mainThreadMs += ms
    }
    rssBytes += 1024 * Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)
  }
  return { cpuMs, mainThreadMs, rssBytes }
}

function threadMs(pid: number, thread: string): number {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1e6
  } catch (error) {
    // It ended since it was listed.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0
    throw error
  }
}
