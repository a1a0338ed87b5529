import { readFile, stat, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { Command } from 'commander'
import type { Act } from './act.ts'
import { DONE, REFUSED, Stop, USAGE } from './exit.ts'
import { readConfiguration } from './import-amps/configuration.ts'
import { sayTranslations, tomlOf } from './import-amps/report.ts'
import { translate } from './import-amps/translation.ts'
import { confirmed, printJson, type Shell, write } from './io.ts'

interface Options {
  readonly output?: string
}

/** A configuration file has some kilobytes; this is none by mistake. */
const FILE_BYTES_MAX = 16 * 1_048_576

export function serverCommand(act: Act): Command {
  const server = new Command('server').summary('what concerns a server as a whole').description('Looks after servers.')
  server
    .command('import-amps')
    .description(
      'Writes the queues of an AMPS configuration file as TOML for Sluice, and says of each element whether it was taken over exactly, approximately or not.',
    )
    .argument('<file>', 'AMPS configuration file (XML)')
    .option('--output <file>', 'write the TOML here; default: stdout')
    .addHelpText('after', EXAMPLES)
    .action(act<Options>((shell, [file], options) => importAmps(shell, file!, options)))
  return server
}

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
