import { readFile, stat, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { Command } from 'commander'
import type { Act } from './act.ts'
import { DONE, REFUSED, Stop, USAGE } from './exit.ts'
import type { Here } from './here.ts'
import { readConfiguration } from './import-amps/configuration.ts'
import { sayTranslations, tomlOf } from './import-amps/report.ts'
import { translate } from './import-amps/translation.ts'
import { confirmed, printJson, type Shell, write } from './io.ts'
import { backup, checkConfig, checkData, info, restore } from './maintain.ts'

interface Options {
  readonly output?: string
}

/** A configuration file has some kilobytes; this is none by mistake. */
const FILE_BYTES_MAX = 16 * 1_048_576

export function serverCommand(act: Act, here?: Here): Command {
  const server = new Command('server')
    .summary('facts, backup and restore, checks, import')
    .description('Looks after servers.')
  server
    .command('import-amps')
    .description(
      'Writes the queues of an AMPS configuration file as TOML for Sluice, and says of each element whether it was taken over exactly, approximately or not.',
    )
    .argument('<file>', 'AMPS configuration file (XML)')
    .option('--output <file>', 'write the TOML here; default: stdout')
    .addHelpText('after', EXAMPLES)
    .action(act<Options>((shell, [file], options) => importAmps(shell, file!, options)))
  server
    .command('info')
    .description('Says what the server is, what its limits are, and how it is doing.')
    .addHelpText('after', INFO_EXAMPLES)
    .action(act(info))
  server
    .command('backup')
    .description(
      'Writes a backup while the server runs, as the data are after one commit, into a folder that is new or empty. The folder is one of the machine the server runs on.',
    )
    .argument('<folder>')
    .addHelpText('after', BACKUP_EXAMPLES)
    .action(act((shell, [folder]) => backup(shell, folder!)))
  server
    .command('restore')
    .description(
      'Puts a backup into a data folder that is new or empty, and looks at every row of it. No server is asked; take the newest backup, for what came after it is not in it.',
    )
    .argument('<folder>', 'the backup')
    .requiredOption('--data <folder>', 'the data folder to make')
    .addHelpText('after', RESTORE_EXAMPLES)
    .action(act<{ data: string }>((shell, [folder], { data }) => restore(shell, here, folder!, data)))
  server
    .command('check')
    .description(
      'Looks at a configuration as a start would, and prints it with where each value comes from; or at every row of the data in a folder that no server uses.',
    )
    .option('--config <file>', 'the configuration (default: $SLUICE_CONFIG, else none)')
    .option('--data <folder>', 'the data folder, or a backup')
    .addHelpText('after', CHECK_EXAMPLES)
    .action(
      act<{ config?: string; data?: string }>((shell, _, { config, data }) => {
        if (data !== undefined && config !== undefined)
          throw new Stop(USAGE, 'Give --config or --data: each is a check of its own.')
        if (data !== undefined) return checkData(shell, here, data)
        return checkConfig(shell, here, config ?? (shell.io.env['SLUICE_CONFIG'] || undefined))
      }),
    )
  return server.addHelpText('after', SERVER_EXAMPLES)
}

const INFO_EXAMPLES = `
Examples:
  $ sluice server info
  $ sluice server info --json | jq .publishing
`

const SERVER_EXAMPLES = `
Examples:
  $ sluice server info
  $ sluice server backup /var/backups/sluice/$(date +%F)
  $ sluice server check --config sluice.toml
`

const BACKUP_EXAMPLES = `
Examples:
  Every night, from cron:
    $ sluice server backup /var/backups/sluice/$(date +\\%F)
  In a container, onto a volume of its own:
    $ docker exec sluice sluice server backup /backups/$(date +%F)
`

const RESTORE_EXAMPLES = `
Examples:
  $ sluice server restore /var/backups/sluice/2026-11-20 --data ./sluice-data
  $ sluice serve --data ./sluice-data
`

const CHECK_EXAMPLES = `
Exit codes: 0 nothing is wrong   1 the data are damaged   2 the configuration cannot be used   4 the folder is in use

Examples:
  $ sluice server check --config sluice.toml
  $ sluice server check --data /var/backups/sluice/2026-11-20
`

const EXAMPLES = `
AMPS is a product of 60East Technologies, with which Sluice is not affiliated.

Examples:
  $ sluice server import-amps amps-config.xml --output sluice.toml && sluice serve --config sluice.toml
  $ sluice server import-amps amps-config.xml --json
`

async function importAmps(shell: Shell, file: string, { output }: Options): Promise<number> {
  const { queues, otherParts } = readConfiguration(await textOf(file))
  if (queues.length === 0) throw new Stop(REFUSED, `There is no <Queue> in ${file}.`)
  const translations = translate(queues)
  const toml = tomlOf(basename(file), translations, otherParts)
  if (output !== undefined) await save(shell, output, toml)
  if (shell.json) await printJson(shell, { queues: translations, not_read: otherParts, toml })
  else if (output === undefined) await write(shell.io.stdout, toml)
  sayTranslations(shell.talk, translations, otherParts)
  return DONE
}

async function textOf(file: string): Promise<string> {
  const bytes = await bytesOf(file)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    throw new Stop(REFUSED, `${file} is no UTF-8 text.`)
  }
}

async function bytesOf(file: string): Promise<Uint8Array> {
  try {
    const { size } = await stat(file)
    if (size > FILE_BYTES_MAX) throw new Error('it is larger than 16 MiB')
    return await readFile(file)
  } catch (error) {
    const isGone = (error as NodeJS.ErrnoException).code === 'ENOENT'
    throw new Stop(USAGE, `Cannot read ${file}: ${isGone ? 'there is no such file' : (error as Error).message}.`)
  }
}

/** A file that is there may be somebody's work. */
async function save(shell: Shell, output: string, toml: string): Promise<void> {
  try {
    await writeFile(output, toml, { flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') {
      throw new Stop(USAGE, `Cannot write ${output}: ${(error as Error).message}.`)
    }
    await confirmed(shell, `Write over ${output}?`)
    await writeFile(output, toml)
  }
}
