import { Command } from 'commander'
import type { Act } from './act.ts'
import { DONE } from './exit.ts'
import { counted } from './format.ts'
import { ask, type Document, queuePath } from './http.ts'
import { confirmed, printJson, type Shell } from './io.ts'
import { queueOptionsOf, withQueueOptions } from './queue-options.ts'
import { type Cell, printTable } from './table.ts'

export function queueCommand(act: Act): Command {
  const queue = new Command('queue').summary('declare, list, show and delete queues').description('Looks after queues.')
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
  $ sluice queue delete sales --yes
`

const DECLARE_EXAMPLES = `
Examples:
  $ sluice queue declare sales --barrier "/is_eof = 1"
  $ sluice queue declare mails --deliveries-max 5 --retry-delay '{"base":"1s","factor":2,"max":"5m"}'
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

async function deleteQueue(shell: Shell, name: string): Promise<number> {
  const { ready, leased, delayed } = (await ask(shell, 'GET', queuePath(name))) as Record<string, number>
  await confirmed(shell, `Delete ${name} and the ${counted(ready! + leased! + delayed!, 'message')} in it?`)
  await ask(shell, 'DELETE', queuePath(name))
  shell.talk.done(`queue ${name} deleted`)
  return DONE
}

function shown(value: unknown): Cell {
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : (value as Cell)
}
