import type { ChildProcess } from 'node:child_process'
import { start } from '../shared/processes.ts'

/** Worker processes, and whether any of them ended that was not to. */
export class Workers {
  readonly all: readonly ChildProcess[]
  /** Process that was killed on purpose. */
  killed: number | undefined
  /** Rejects when a worker ends with an error. */
  readonly trouble: Promise<never>

  private constructor(all: readonly ChildProcess[]) {
    this.all = all
    this.trouble = new Promise((_, reject) => {
      for (const child of all) {
        child.on('exit', (code, signal) => {
          if (code !== 0 && child.pid !== this.killed)
            reject(new Error(`Worker ${child.pid} ended with ${code ?? signal}.`))
        })
      }
    })
    // Only who waits for the workers meets it.
    this.trouble.catch(() => {})
  }

  static async start(count: number, url: string): Promise<Workers> {
    const program = new URL('./counter.js', import.meta.url)
    return new Workers(await Promise.all(Array.from({ length: count }, () => start(program, ['--url', url]))))
  }

  get pids(): number[] {
    return this.all.map(child => child.pid!)
  }

  /** kill -9: it can say goodbye to nobody. */
  killOne(): number {
    const [child] = this.all
    this.killed = child!.pid!
    child!.kill('SIGKILL')
    return this.killed
  }

  end(): void {
    for (const child of this.all) child.kill()
  }
}
