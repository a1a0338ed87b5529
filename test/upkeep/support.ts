import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { type Client, connect } from '@sluice/client'
import { onTestFinished } from 'vitest'
import { run } from '../../clients/cli/src/index.ts'
import { loadConfig } from '../../src/config/load.ts'
import { silentLog } from '../../src/observe/log.ts'
import { type RunningServer, startServer } from '../../src/server.ts'
import * as here from '../../src/upkeep/here.ts'
import { type Ended, MAIN, Running } from '../clients/cli-support.ts'

/** A folder that goes with the test. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-upkeep-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A server on a folder, in this process. */
export async function serverOn(data: string, flags: Readonly<Record<string, string>> = {}): Promise<RunningServer> {
  const { config } = loadConfig({ flags: { data, listen: '127.0.0.1:0', disk_free_min: '1MiB', ...flags } })
  const server = await startServer(config, { log: silentLog })
  onTestFinished(() => server.close().catch(() => {}))
  return server
}

export async function clientOf(server: RunningServer): Promise<Client> {
  const client = await connect(server.url.replace('http', 'ws'), { name: 'upkeep' })
  onTestFinished(() => client.close())
  return client
}

/** The command line as on the machine of the server. */
export async function sluice(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>> = {},
): Promise<Ended> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()]
  const said = Promise.all([text(stdout), text(stderr)])
  const exitCode = await run(args, { stdin: Readable.from([]), stdout, stderr, env }, here)
  stdout.end()
  stderr.end()
  const [out, err] = await said
  return { exitCode, stdout: out, stderr: err }
}

/** The built command, for what starts processes of its own. */
export function built(args: readonly string[], env: Readonly<Record<string, string | undefined>> = {}): Promise<Ended> {
  return new Running([MAIN, ...args], { PATH: process.env['PATH'], ...env }).end()
}
