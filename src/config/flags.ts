import { parseArgs } from 'node:util'
import type { ConfigSources } from './load.ts'

export const SERVE_HELP = `Usage: sluice serve [--config FILE] [--data DIR] [--listen HOST:PORT] [--memory]

Starts a server. Prints "sluice ready on http://HOST:PORT" once it is ready.

  --config FILE        settings and queues, as TOML (default: none is read)
  --data DIR           folder that keeps everything (default: ./sluice-data)
  --listen HOST:PORT   where to listen; port 0 picks a free one (default: 127.0.0.1:7420)
  --memory             keep nothing: for trying out and for tests
  --print-config       print the settings and where each comes from, and start nothing
  --help               this text

SIGTERM and SIGINT let what is being worked on come to its end, for the setting drain (10s); a second one ends at once.
SIGHUP reads the certificates again. Exit codes: 0 stopped   1 cannot start   2 usage   74 the disk failed: start it again

Examples:
  $ sluice serve --data /var/lib/sluice
  $ sluice serve --config sluice.toml --print-config
  $ SLUICE_LISTEN=127.0.0.1:0 sluice serve --memory

Each setting can also be given by the environment: SLUICE_CONFIG, SLUICE_DATA, SLUICE_LISTEN, SLUICE_MEMORY, …
`

/** The command line cannot be understood. */
export class UsageError extends Error {
  readonly code = 'usage'

  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'UsageError'
  }
}

/**
 * Reads what stands behind `sluice serve`.
 *
 * @returns `help` when only the help was asked for; `isShown`: the configuration is to be shown, and nothing started
 * @throws UsageError
 */
export function readServeFlags(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): (ConfigSources & { readonly isShown?: boolean }) | 'help' {
  const { config, help, 'print-config': isShown, ...flags } = parse(args)
  if (help === true) return 'help'
  const file = config ?? (environment['SLUICE_CONFIG'] || undefined)
  return { ...(file === undefined ? {} : { file }), flags, environment, ...(isShown === true && { isShown }) }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        config: { type: 'string' },
        data: { type: 'string' },
        listen: { type: 'string' },
        memory: { type: 'boolean' },
        'print-config': { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values
  } catch (cause) {
    // Its message names the flag; what follows the first sentence is about escaping, and wrong for most.
    const message = (cause as Error).message.split('. ')[0] ?? ''
    throw new UsageError(message, { cause })
  }
}
