import { readFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import type { Act } from './act.ts'
import { barrierCommand } from './barrier.ts'
import { completionCommand } from './completion.ts'
import { consumeCommand } from './consume.ts'
import { deadCommand } from './dead.ts'
import { EXAMPLES } from './examples.ts'
import { Stop, USAGE } from './exit.ts'
import { filterCommand } from './filter.ts'
import type { Here } from './here.ts'
import { DEFAULT_URL, type Io } from './io.ts'
import { publishCommand } from './publish.ts'
import { queueCommand } from './queue.ts'
import { serverCommand } from './server.ts'
import { tokenCommand } from './token.ts'
import { topCommand } from './top.ts'
import { waitCommand } from './wait.ts'

/** All commands with their options and help. */
export function programOf(io: Io, act: Act, here?: Here): Command {
  const program = new Command('sluice')
    .description(
      'A message queue with barriers: publish, put a barrier, wait. It opens when everything before it is done.',
    )
    .version(version(), '-V, --version', 'say the version')
    .option('--url <url>', `where the server is (default: $SLUICE_URL, else ${DEFAULT_URL})`)
    .option('--token <token>', 'who you are (default: $SLUICE_TOKEN)')
    .option('--token-file <file>', 'where it is written who you are (default: $SLUICE_TOKEN_FILE)')
    .option('--ca <file>', 'CA of the server, in PEM, for https: and wss: (default: $SLUICE_CA, else those of Node)')
    .option('--cert <file>', 'your certificate, where the server asks for one (default: $SLUICE_CERT)')
    .option('--key <file>', 'its private key (default: $SLUICE_KEY)')
    .option('--json', 'documents for programs on stdout')
    .addOption(
      new Option('--progress <how>', 'a line of JSON a second on stderr, or nothing').choices(['json', 'none']),
    )
    .option('--yes', 'do not ask before something is lost')
    .addHelpText('after', PROGRAM_HELP)
  const commands = [
    serveCommand,
    publishCommand,
    consumeCommand,
    waitCommand,
    queueCommand,
    barrierCommand,
    deadCommand,
    filterCommand,
    tokenCommand,
    (act: Act) => serverCommand(act, here),
    topCommand,
    completionCommand,
  ]
  for (const command of commands) program.addCommand(command(act))
  for (const command of everyCommand(program)) {
    behave(command, io)
    const examples = EXAMPLES[pathOf(command).replace('sluice ', '')]
    if (examples !== undefined)
      command.addHelpText('after', `\nExamples:\n${examples.map(line => `  $ ${line}`).join('\n')}`)
  }
  return program
}

const PROGRAM_HELP = `
Exit codes: 0 done, or released clean   1 unexpected   2 usage   3 no such queue or barrier
            4 refused, or batch incomplete   5 server not reachable   6 timed out
            7 released with dead letters   8 batch cancelled, failed or expired   130 interrupted

Examples:
  $ sluice serve
  $ sluice queue declare sales --barrier "/is_eof = 1"
  $ sluice consume sales --exec ./load-sale --concurrency 8 --until-barrier
  $ sluice publish sales --file sales.ndjson --barrier=eof-2026-11-20 --wait && run-analytics
`

/** Only for the help: the server package runs it. */
function serveCommand(act: Act): Command {
  return new Command('serve')
    .summary('start a server')
    .description('Starts a server: sluice serve [--config sluice.toml] [--data DIR] [--listen HOST:PORT] [--memory]')
    .option('--config <file>', 'settings and queues, as TOML')
    .option('--data <folder>', 'folder that keeps everything')
    .option('--listen <host:port>', 'where to listen; port 0 picks a free one')
    .option('--memory', 'keep nothing')
    .option('--print-config', 'print the settings and where each comes from, and start nothing')
    .action(
      act(() => Promise.reject(new Stop(USAGE, 'This is the client; "sluice serve" is run by the package sluice.'))),
    )
}

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)]
}

/** Errors are thrown, not exited on; help tells where it is; what is printed goes where `io` says. */
function behave(command: Command, io: Io): void {
  command
    .exitOverride()
    .configureHelp({
      showGlobalOptions: true,
      // What is there only to be said no to.
      visibleArguments: command =>
        command.registeredArguments.filter(each => each.name() !== 'more' && each.description !== ''),
      optionTerm: option => option.flags.replace(' [=', '[='),
      subcommandTerm: command => command.name(),
    })
    .showHelpAfterError(`(${pathOf(command)} --help tells more)`)
    .configureOutput({
      writeOut: text => io.stdout.write(text),
      writeErr: text => io.stderr.write(text),
      getOutHelpWidth: () => io.stdout.columns ?? 100,
      getErrHelpWidth: () => io.stderr.columns ?? 100,
    })
}

function pathOf(command: Command): string {
  return command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`
}

function version(): string {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  return version
}
