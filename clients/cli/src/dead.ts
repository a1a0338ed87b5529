import { Command } from 'commander'
import type { Act } from './act.ts'
import { readWhole } from './arguments.ts'
import { bodyCell, type Columns, listMessages, pagesOf, type SeenMessage } from './browse.ts'
import { DONE, NOT_FOUND, Stop } from './exit.ts'
import { count, counted } from './format.ts'
import { ask, LONG_TIMEOUT_MS, queuePath, withQuery } from './http.ts'
import { confirmed, printJson, type Shell } from './io.ts'
import { type Cell, printTable } from './table.ts'

/** Which dead letters: all of a queue, those that match, those of one batch, or one. */
interface Choice {
  readonly filter?: string
  readonly batch?: string
  readonly sequence?: number
}

interface ListOptions extends Choice {
  readonly after?: number
  readonly limit: number
}

/** How many are counted before a purge: beyond it "more than" says enough to think twice. */
const COUNTED_MAX = 10_000

export function deadCommand(act: Act): Command {
  const dead = new Command('dead')
    .summary('look at dead letters, put them back or purge them')
    .description('Looks after the messages of a queue that were put aside: failed too often, rejected, expired.')
  const command = (name: string, description: string) =>
    dead.command(name).description(description).argument('<queue>', 'queue they come from')
  withChoice(command('list', 'Lists dead letters with where they come from and why.'))
    .option('--after <sequence>', 'only those behind this one', readWhole(0))
    .option('--limit <count>', 'no more than so many', readWhole(1), 100)
    .action(act<ListOptions>((shell, [queue], options) => list(shell, queue!, options)))
  command('show', 'Shows one dead letter with everything that is known.')
    .argument('<sequence>', 'its sequence number, as "dead list" tells it', readWhole(1))
    .action(act((shell, [queue, sequence]) => show(shell, queue!, Number(sequence))))
  withChoice(command('requeue', 'Puts dead letters back into the queue they come from.')).action(
    act<Choice>((shell, [queue], options) => requeue(shell, queue!, options)),
  )
  withChoice(command('purge', 'Deletes dead letters.')).action(
    act<Choice>((shell, [queue], options) => purge(shell, queue!, options)),
  )
  return dead.addHelpText('after', EXAMPLES)
}

const EXAMPLES = `
Examples:
  $ sluice dead list sales --batch eof-2026-11-20
  $ sluice dead requeue sales --filter "/store = 17"
  $ sluice dead requeue sales --sequence 3
  $ sluice dead purge sales --yes
`

function withChoice(command: Command): Command {
  return command
    .option('--filter <expression>', 'only those that match')
    .option('--batch <barrier>', 'only those of the batch that this barrier closes')
    .option('--sequence <number>', 'only the one with this number, as "dead list" tells it', readWhole(1))
}

const COLUMNS: Columns = {
  SEQUENCE: message => message.sequence,
  REASON: message => message.origin?.['reason'] as Cell,
  ATTEMPTS: message => message.origin?.['attempts'] as Cell,
  'WAS SEQUENCE': message => message.origin?.['sequence'] as Cell,
  BATCH: message => message.origin?.['batch'] as Cell,
  DIED: message => message.origin?.['dead_at'] as Cell,
  DETAIL: message => message.origin?.['detail'] as Cell,
}

async function list(
  shell: Shell,
  queue: string,
  { limit, filter, batch, sequence, after }: ListOptions,
): Promise<number> {
  const pages = pagesOf(shell, deadPath(queue), { filter, batch, sequence, after }, limit)
  await listMessages(shell, pages, { ...COLUMNS, BODY: bodyCell(shell) })
  return DONE
}

async function show(shell: Shell, queue: string, sequence: number): Promise<number> {
  const message = await find(shell, queue, sequence)
  if (message === undefined) {
    const next = `see which there are: sluice dead list ${queue}`
    throw new Stop(NOT_FOUND, `There is no dead letter ${sequence} of ${queue}.`, next)
  }
  if (shell.json) {
    await printJson(shell, message)
    return DONE
  }
  const { origin, body, body_base64, ...rest } = message
  const from = Object.entries(origin ?? {}).map(([what, value]) => [`origin.${what}`, value] as const)
  const rows = [...from, ...Object.entries(rest), ['body', body ?? body_base64] as const]
  await printTable(
    shell,
    ['WHAT', 'VALUE'],
    rows.map(([what, value]) => [what, typeof value === 'object' ? JSON.stringify(value) : (value as Cell)]),
  )
  return DONE
}

/** The list is in order, so it is the first behind its predecessor or not there. */
async function find(shell: Shell, queue: string, sequence: number): Promise<SeenMessage | undefined> {
  for await (const { messages } of pagesOf(shell, deadPath(queue), { after: sequence - 1 }, 1)) {
    if (messages[0] !== undefined) return messages[0].sequence === sequence ? messages[0] : undefined
  }
  return undefined
}

async function requeue(shell: Shell, queue: string, { filter, batch, sequence }: Choice): Promise<number> {
  const path = withQuery(`${deadPath(queue)}/requeue`, { filter, batch, sequence })
  const answer = await ask(shell, 'POST', path, undefined, LONG_TIMEOUT_MS)
  if (shell.json) await printJson(shell, answer)
  shell.talk.done(`${counted(answer['requeued'] as number, 'message')} back in ${queue}`)
  return DONE
}

async function purge(shell: Shell, queue: string, { filter, batch, sequence }: Choice): Promise<number> {
  const choice = { filter, batch, sequence }
  await confirmed(shell, `Delete ${await numberOf(shell, queue, choice)} of ${queue}?`)
  const answer = await ask(shell, 'DELETE', withQuery(deadPath(queue), choice), undefined, LONG_TIMEOUT_MS)
  if (shell.json) await printJson(shell, answer)
  shell.talk.done(`${counted(answer['purged'] as number, 'dead letter')} of ${queue} deleted`)
  return DONE
}

async function numberOf(
  shell: Shell,
  queue: string,
  choice: { readonly [K in keyof Choice]-?: Choice[K] | undefined },
): Promise<string> {
  let found = 0
  let isAll = true
  for await (const page of pagesOf(shell, deadPath(queue), choice, COUNTED_MAX)) {
    found += page.messages.length
    isAll = page.next === undefined
  }
  return isAll ? counted(found, 'dead letter') : `more than ${count(found)} dead letters`
}

function deadPath(queue: string): string {
  return `${queuePath(queue)}/dead`
}
