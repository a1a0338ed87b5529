import { Command, Option } from 'commander'
import type { Act } from './act.ts'
import { readWhole } from './arguments.ts'
import { DONE, Stop, USAGE } from './exit.ts'
import { counted } from './format.ts'
import { ask, type Document, LONG_TIMEOUT_MS, queuePath, withQuery } from './http.ts'
import { confirmed, printJson, type Shell } from './io.ts'
import { type PeekOptions, peekQueue } from './peek.ts'
import { addMessageCommand } from './queue-message.ts'
import { queueOptionsOf, withQueueOptions } from './queue-options.ts'
import { type Cell, printTable } from './table.ts'

export function queueCommand(act: Act): Command {
  const queue = new Command('queue')
    .summary('declare, list, show, update, purge, pause and delete queues; look into them, and after one message')
    .description('Looks after queues.')
  queue.command('list').description('Lists all queues.').action(act(list))
  queue
    .command('show')
    .description('Shows the state and the options of a queue.')
    .argument('<queue>')
    .action(act((shell, [name]) => show(shell, name!)))
  const declare = queue
    .command('declare')
    .description('Makes a queue, or makes sure that it is as said. Only the options given are compared.')
    .argument('<queue>')
    .addHelpText('after', DECLARE_EXAMPLES)
  withQueueOptions(declare).action(act<Document>((shell, [name], options) => declareQueue(shell, name!, options)))
  const update = queue
    .command('update')
    .description('Changes the options given; the others stay as they are.')
    .argument('<queue>')
    .addHelpText('after', UPDATE_EXAMPLES)
  withQueueOptions(update).action(act<Document>((shell, [name], options) => updateQueue(shell, name!, options)))
  queue
    .command('purge')
    .description('Ends the waiting batches as cancelled, and deletes what is ready and delayed.')
    .argument('<queue>')
    .option('--leased', 'and what is being worked on; without it only in waiting batches')
    .action(act<{ leased?: boolean }>((shell, [name], { leased }) => purge(shell, name!, leased ?? false)))
  queue
    .command('pause')
    .description('Stops deliveries and barrier releases, also over a restart; publishing goes on.')
    .argument('<queue>')
    .action(act((shell, [name]) => pause(shell, name!, true)))
  queue
    .command('resume')
    .description('Lets deliveries and barrier releases go on.')
    .argument('<queue>')
    .action(act((shell, [name]) => pause(shell, name!, false)))
  queue
    .command('peek')
    .description('Lists messages without taking them.')
    .argument('<queue>')
    .addOption(new Option('--state <state>', 'only those that are so').choices(['ready', 'leased', 'delayed']))
    .option('--filter <expression>', 'only those that match')
    .option('--after <sequence>', 'only those behind this one', readWhole(0))
    .option('--limit <count>', 'no more than so many', readWhole(1), 100)
    .action(act<PeekOptions>((shell, [name], options) => peekQueue(shell, name!, options)))
  addMessageCommand(queue, act)
  queue
    .command('delete')
    .description('Deletes a queue with all its messages.')
    .argument('<queue>')
    .action(act((shell, [name]) => deleteQueue(shell, name!)))
  return queue.addHelpText('after', EXAMPLES)
}

const EXAMPLES = `
Examples:
  $ sluice queue declare sales --barrier "/is_eof = 1" --lease 60s --deliveries-max 5
  $ sluice queue list
  $ sluice queue show sales --json
  $ sluice queue peek sales --state leased
  $ sluice queue message sales 17 --release
  $ sluice queue delete sales --yes
`

const DECLARE_EXAMPLES = `
Examples:
  $ sluice queue declare sales --barrier "/is_eof = 1"
  $ sluice queue declare mails --deliveries-max 5 --retry-delay '{"base":"1s","factor":2,"max":"5m"}'
`

const UPDATE_EXAMPLES = `
Examples:
  $ sluice queue update sales --lease 5m --deliveries-max 10
  $ sluice queue update sales --expiration none
`

const COLUMNS = {
  QUEUE: 'name',
  READY: 'ready',
  LEASED: 'leased',
  DELAYED: 'delayed',
  BARRIERS: 'barriers_waiting',
  CONSUMERS: 'subscriptions',
  PUBLISHED: 'published_total',
  ACKED: 'acked_total',
} as const

interface QueueState {
  readonly ready: number
  readonly delayed: number
  readonly leased: number
  readonly barriers_waiting: number
  /** The batch that no barrier closes yet. */
  readonly open: { readonly leased: number }
}

async function list(shell: Shell): Promise<number> {
  const { queues } = (await ask(shell, 'GET', '/v1/queues')) as { queues: readonly Document[] }
  if (shell.json) await printJson(shell, queues)
  else if (queues.length > 0 || !shell.io.stdout.isTTY) {
    const rows = queues.map(queue => Object.values(COLUMNS).map(field => queue[field] as Cell))
    await printTable(shell, Object.keys(COLUMNS), rows)
  }
  if (queues.length === 0) shell.talk.say(' There are no queues yet. Make one: sluice queue declare NAME')
  return DONE
}

async function show(shell: Shell, name: string): Promise<number> {
  const queue = await ask(shell, 'GET', queuePath(name))
  if (shell.json) {
    await printJson(shell, queue)
    return DONE
  }
  const { options, open, ...state } = queue
  const rows = Object.entries({ ...state, ...(options as Document) }).map(([what, value]) => [what, shown(value)])
  await printTable(shell, ['WHAT', 'VALUE'], rows)
  return DONE
}

async function declareQueue(shell: Shell, name: string, given: Document): Promise<number> {
  const queue = await ask(shell, 'PUT', queuePath(name), queueOptionsOf(given))
  if (shell.json) await printJson(shell, queue)
  shell.talk.done(`queue ${name} is as said`)
  return DONE
}

async function updateQueue(shell: Shell, name: string, given: Document): Promise<number> {
  const options = queueOptionsOf(given)
  const names = Object.keys(options)
  if (names.length === 0) throw new Stop(USAGE, 'Say what to change, for example --lease 60s.')
  const queue = await ask(shell, 'PATCH', queuePath(name), options)
  if (shell.json) await printJson(shell, queue)
  shell.talk.done(`${names.join(', ')} of queue ${name} ${names.length === 1 ? 'is' : 'are'} as said`)
  return DONE
}

async function purge(shell: Shell, name: string, withLeased: boolean): Promise<number> {
  const {
    ready,
    delayed,
    leased,
    open,
    barriers_waiting: barriers,
  } = (await ask(shell, 'GET', queuePath(name))) as unknown as QueueState
  // With a batch that is cancelled its leases end too.
  const messages = ready + delayed + leased - (withLeased ? 0 : open.leased)
  const batches = barriers === 0 ? '' : `, and cancel ${counted(barriers, 'barrier')},`
  await confirmed(shell, `Delete ${counted(messages, 'message')}${batches} of ${name}?`)
  const path = withQuery(`${queuePath(name)}/messages`, { leased: withLeased || undefined })
  const answer = await ask(shell, 'DELETE', path, undefined, LONG_TIMEOUT_MS)
  if (shell.json) await printJson(shell, answer)
  shell.talk.done(`${counted(answer['purged'] as number, 'message')} of ${name} purged`)
  return DONE
}

async function pause(shell: Shell, name: string, isPaused: boolean): Promise<number> {
  const queue = await ask(shell, 'POST', `${queuePath(name)}/${isPaused ? 'pause' : 'resume'}`)
  if (shell.json) await printJson(shell, queue)
  shell.talk.done(
    isPaused ? `queue ${name} is paused; let it go on: sluice queue resume ${name}` : `queue ${name} goes on`,
  )
  return DONE
}

async function deleteQueue(shell: Shell, name: string): Promise<number> {
  const { ready, leased, delayed } = (await ask(shell, 'GET', queuePath(name))) as unknown as QueueState
  await confirmed(shell, `Delete ${name} and the ${counted(ready + leased + delayed, 'message')} in it?`)
  await ask(shell, 'DELETE', queuePath(name))
  shell.talk.done(`queue ${name} deleted`)
  return DONE
}

function shown(value: unknown): Cell {
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : (value as Cell)
}
