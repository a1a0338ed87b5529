import { type Command, Option } from 'commander'
import type { Act } from './act.ts'
import { readWhole } from './arguments.ts'
import { pagesOf } from './browse.ts'
import { DONE, NOT_FOUND, Stop, USAGE } from './exit.ts'
import { ask, queuePath } from './http.ts'
import { confirmed, printJson, type Shell } from './io.ts'
import { type Cell, printTable } from './table.ts'

interface Options {
  readonly release?: boolean
  readonly deadLetter?: boolean
  readonly delete?: boolean
}

/** `queue message`: one message, looked at or put right, whoever has it. */
export function addMessageCommand(queue: Command, act: Act): void {
  queue
    .command('message')
    .description('Shows one message with everything that is known, or does something to it.')
    .argument('<queue>')
    .argument('<sequence>', 'its sequence number, as "queue peek" tells it', readWhole(1))
    .addOption(new Option('--release', 'take it from who has it: somebody else gets it, no attempt counts'))
    .addOption(new Option('--dead-letter', 'move it to the dead letters'))
    .addOption(new Option('--delete', 'delete it'))
    .addHelpText('after', EXAMPLES)
    .action(act<Options>((shell, [name, sequence], options) => message(shell, name!, Number(sequence), options)))
}

const EXAMPLES = `
Examples:
  $ sluice queue message sales 17
  $ sluice queue message sales 17 --release
  $ sluice queue message sales 17 --delete --yes
`

async function message(shell: Shell, queue: string, sequence: number, options: Options): Promise<number> {
  const { release, deadLetter, delete: isDeleted } = options
  const given = [release, deadLetter, isDeleted].filter(Boolean).length
  if (given > 1) throw new Stop(USAGE, 'One of --release, --dead-letter and --delete.')
  if (given === 0) return show(shell, queue, sequence)
  const path = `${queuePath(queue)}/messages/${sequence}`
  if (isDeleted) await confirmed(shell, `Delete message ${sequence} of ${queue}?`)
  const answer = isDeleted
    ? await ask(shell, 'DELETE', path)
    : await ask(shell, 'POST', `${path}/${release ? 'release' : 'dead-letter'}`)
  if (shell.json) await printJson(shell, answer)
  shell.talk.done(`message ${sequence} of ${queue} is ${answer['result']}`)
  return DONE
}

async function show(shell: Shell, queue: string, sequence: number): Promise<number> {
  // The list is in order, so it is the first behind its predecessor or not there.
  for await (const { messages } of pagesOf(shell, `${queuePath(queue)}/messages`, { after: sequence - 1 }, 1)) {
    const [found] = messages
    if (found === undefined) continue
    if (found.sequence !== sequence) break
    if (shell.json) await printJson(shell, found)
    else {
      const rows = Object.entries(found).map(([what, value]) => [
        what,
        typeof value === 'object' ? JSON.stringify(value) : (value as Cell),
      ])
      await printTable(shell, ['WHAT', 'VALUE'], rows)
    }
    return DONE
  }
  const next = `see which there are: sluice queue peek ${queue}`
  throw new Stop(NOT_FOUND, `There is no message ${sequence} in ${queue}.`, next)
}
