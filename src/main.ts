#!/usr/bin/env node
import { ConfigError } from './config/config.ts'
import { readServeFlags, SERVE_HELP, UsageError } from './config/flags.ts'
import { type ConfigSources, loadConfig } from './config/load.ts'
import { tellServiceManager } from './observe/service-manager.ts'

const EXIT_UNEXPECTED = 1
const EXIT_USAGE = 2
const SIGNAL_NUMBERS = { SIGINT: 2, SIGTERM: 15 } as const

const [command, ...args] = process.argv.slice(2)

if (command === 'serve') {
  await serve(args)
} else {
  const { run } = await import('@sluice/cli')
  process.exitCode = await run(process.argv.slice(2), process, await import('./upkeep/here.ts'))
}

/** Runs a server until a signal ends it. Standard output gets the one line that says it is ready, and nothing else. */
async function serve(args: readonly string[]): Promise<void> {
  try {
    const sources = readServeFlags(args, process.env)
    if (sources === 'help') return void process.stdout.write(SERVE_HELP)
    if (sources.isShown === true) return await show(sources)
    const { config } = loadConfig(sources)
    // What the server writes is for its user alone, whatever it is.
    process.umask(0o077)
    // Loaded late: a mistake in the flags is answered without opening a database library.
    const { startServer } = await import('./server.ts')
    const server = await startServer(config)
    closeOnSignal(server)
    // Without anything to reload a hang-up ends a process with its terminal, as it does everywhere. Where there is none,
    // somebody has asked for a reload, and a server that ends by that would not even be started again.
    if (server.reload !== undefined || !process.stdin.isTTY) process.on('SIGHUP', () => server.reload?.())
    process.stdout.write(`sluice ready on ${server.url}\n`)
    tellServiceManager('READY=1')
  } catch (error) {
    complain(error)
  }
}

/** `--print-config`: what would be started. */
async function show(sources: ConfigSources): Promise<void> {
  const { checkConfig } = await import('./upkeep/check-config.ts')
  const { shownAsToml } = await import('./config/show.ts')
  process.stdout.write(shownAsToml(await checkConfig(sources)))
}

/** The first signal lets come to an end what is being worked on, and closes in order; the second ends the process at once. */
function closeOnSignal(server: { drain(): Promise<void>; close(): Promise<void> }): void {
  let closing = false
  const stop = (signal: keyof typeof SIGNAL_NUMBERS): void => {
    if (closing) process.exit(128 + SIGNAL_NUMBERS[signal])
    closing = true
    tellServiceManager('STOPPING=1')
    const ended = server.drain().then(() => server.close())
    ended.then(
      () => process.exit(0),
      error => {
        complain(error)
        process.exit()
      },
    )
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}

/** One line for each thing that is wrong; a stack only for what nobody foresaw. */
function complain(error: unknown): void {
  process.exitCode = error instanceof UsageError ? EXIT_USAGE : EXIT_UNEXPECTED
  const lines = error instanceof ConfigError ? error.problems : [describe(error)]
  process.stderr.write(lines.map(line => `sluice: ${line}\n`).join(''))
  if (error instanceof UsageError) process.stderr.write('Try "sluice serve --help".\n')
}

/** An error with a code (folder locked, address in use, …) was foreseen; its message says enough. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const code = 'code' in error ? String(error.code) : ''
  if (code === 'EADDRINUSE')
    return `${error.message}. Another program listens there: choose with --listen, port 0 picks a free one`
  return code === '' ? (error.stack ?? error.message) : error.message
}
