import { fileURLToPath } from 'node:url'
import { Running, type ServerChild } from '../clients/cli-support.ts'

/** Starts a built example against a server. */
export function example(server: ServerChild, program: string, ...args: readonly string[]): Running {
  const path = fileURLToPath(new URL(`../../clients/examples/dist/${program}.js`, import.meta.url))
  return new Running([path, '--url', server.url, ...args])
}

/** Runs one to its end, which must be a good one. */
export async function finished(running: Running): Promise<string[]> {
  const { exitCode, stderr } = await running.end()
  if (exitCode !== 0) throw new Error(`exit code ${exitCode}: ${stderr}`)
  return running.lines
}
