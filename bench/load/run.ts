import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type Job, type Load, RESTART, type Report, type Restarted } from './job.ts'
import { microsNow } from './measure.ts'
import type { System } from './system.ts'

export interface RunOptions {
  readonly load: Load
  /** The server's files go into a folder of its own in there. */
  readonly dataFolder: string
  /** Where server and client leave CPU profiles. */
  readonly profileFolder: string | undefined
}

/** A report, and what the server said of itself. */
export interface Run extends Report {
  readonly version: string
}

/** Beyond warm-up and measuring: to start, to fill a backlog, to drain and check. A server that hangs ends here. */
const SLACK_MS = 120_000

/** One workload, once, against a fresh server that is gone afterwards. @throws Error if server or load client fail */
export async function runOnce(
  { name, system, workload }: { readonly name: string; readonly system: System; readonly workload: string },
  { load, dataFolder, profileFolder }: RunOptions,
): Promise<Run> {
  const folder = mkdtempSync(join(dataFolder, 'sluice-bench-'))
  const profiles = (side: string) => profileFolder && join(profileFolder, `${workload}-${name}-${load.bodyBytes}`, side)
  try {
    const start = () => system.start({ folder, profileFolder: profiles('server') })
    let server = await start()
    try {
      const client = startClient(profiles('client'))
      const restart = async (): Promise<Restarted> => {
        await server.stop()
        const diskBytes = bytesIn(folder)
        const startedAtMicros = microsNow()
        server = await start()
        return { address: server.address, serverPids: server.pids, startedAtMicros, diskBytes }
      }
      client.send({ system: name, workload, address: server.address, serverPids: server.pids, load } satisfies Job)
      const reporting = Promise.race([reportOf(client, restart), server.failed, tooLong(load)])
      return { ...(await withEnd(client, reporting)), version: server.version }
    } finally {
      await server.stop()
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What the files in a folder take on the disk. */
function bytesIn(folder: string): number {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile())
  // Of what a server leaves behind some goes just now.
  const stats = entries.map(({ parentPath, name }) => statSync(join(parentPath, name), { throwIfNoEntry: false }))
  return stats.reduce((sum, stat) => sum + 512 * (stat?.blocks ?? 0), 0)
}

function startClient(profileFolder: string | undefined): ChildProcess {
  if (profileFolder !== undefined) mkdirSync(profileFolder, { recursive: true })
  const profile = profileFolder === undefined ? [] : ['--cpu-prof', '--cpu-prof-dir', profileFolder]
  return fork(fileURLToPath(new URL('client.ts', import.meta.url)), { execArgv: [...process.execArgv, ...profile] })
}

async function reportOf(client: ChildProcess, restart: () => Promise<Restarted>): Promise<Report> {
  const [answer] = (await Promise.race([once(client, 'message'), once(client, 'exit')])) as [
    Report | typeof RESTART | number | null,
  ]
  if (answer === RESTART) {
    client.send(await restart())
    return reportOf(client, restart)
  }
  // What went wrong is on standard error, which it shares with us.
  if (answer === null || typeof answer === 'number') throw new Error(`the load client ended with ${answer}`)
  return answer
}

/** A client that reported ends by itself, after it wrote its profile; one that did not is of no use any more. */
async function withEnd(client: ChildProcess, reporting: Promise<Report>): Promise<Report> {
  try {
    return await reporting
  } catch (error) {
    client.kill()
    throw error
  } finally {
    if (client.exitCode === null && client.signalCode === null) await once(client, 'exit')
  }
}

async function tooLong({ warmupSeconds, length }: Load): Promise<never> {
  const seconds = warmupSeconds + ('seconds' in length ? length.seconds : 0)
  await sleep(seconds * 1000 + SLACK_MS, undefined, { ref: false })
  throw new Error('the run hangs')
}
