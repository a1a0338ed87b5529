import { type BatchHandle, RefusedError } from '@sluice/client'
import { Argument, Command } from 'commander'
import type { Act } from './act.ts'
import { readWhole } from './arguments.ts'
import { exitCodeOf, recordDocument, watchOf } from './batch.ts'
import { connected } from './connection.ts'
import { environmentOf, runCommand } from './exec.ts'
import { Stop, USAGE } from './exit.ts'
import { onInterrupt } from './interrupt.ts'
import { printJson, type Shell, write } from './io.ts'
import { documentOf, lineOf } from './lines.ts'
import { peekBodies } from './peek.ts'
import { type Handler, Taking } from './taking.ts'

interface Options {
  readonly count?: number
  /** Empty: the first barrier that comes. */
  readonly untilBarrier?: string
  readonly prefetch?: number
  readonly filter?: string
  readonly peek?: boolean
  readonly exec?: string
  readonly concurrency: number
}

/** Lines on their way to stdout at once; they keep their order. */
const WRITES_MAX = 64
const PREFETCH = 100

export function consumeCommand(act: Act): Command {
  return new Command('consume')
    .summary('take messages: print them, or run a command for each')
    .description('Takes messages. Each body is written as a line on stdout, and acked once it is written.')
    .usage('[options] <queue>')
    .argument('<queue>', 'queue to take from')
    .addArgument(new Argument('[more...]').argOptional())
    .option('--count <number>', 'end after so many messages', readWhole(1))
    .option('--until-barrier [=name]', 'end at the next barrier, or at that one (a name is given with "=")')
    .option(
      '--prefetch <number>',
      `messages held at once (default ${PREFETCH}; with --exec as many as run)`,
      readWhole(0),
    )
    .option('--filter <expression>', 'only messages that match')
    .option('--peek', 'only look: write the bodies, take nothing')
    .option('--exec <command>', 'run this for each message, its body on stdin: exit 0 acks, 65 rejects, else nacks')
    .option('--concurrency <number>', 'commands of --exec that run at once', readWhole(1), 1)
    .addHelpText('after', EXAMPLES)
    .action(act<Options>((shell, [queue, ...more], options) => consume(shell, queue!, more, options)))
}

const EXAMPLES = `
A command of --exec finds SLUICE_QUEUE, SLUICE_SEQUENCE, SLUICE_ATTEMPT and SLUICE_MESSAGE_ID in its environment.

Examples:
  Ten messages, which are gone then; the same, only looked at:
    $ sluice consume orders --count 10
    $ sluice consume orders --count 10 --peek
  A worker, eight at once, until the night's batch is done:
    $ sluice consume sales --exec ./load-sale --concurrency 8 --until-barrier=eof-2026-11-20
  Only part of them, as documents with everything that is known:
    $ sluice consume orders --filter "/amount > 1000" --json
`

async function consume(shell: Shell, name: string, more: readonly string[], options: Options): Promise<number> {
  checkUsage(name, more, options)
  if (options.peek) return await peekBodies(shell, name, options)
  using interrupt = onInterrupt()
  await using client = await connected(shell)
  const queue = client.queue<Uint8Array>(name, { codec: 'bytes' })
  const batch = options.untilBarrier ? queue.batch(options.untilBarrier) : undefined
  using watch = batch && watchOf(batch)
  const record = batch && watch && (await isReleased(batch)) ? await watch.released : undefined
  if (record) {
    shell.talk.done(`barrier ${options.untilBarrier} is released already, outcome ${record.outcome}`)
    if (shell.json) await printJson(shell, { kind: 'barrier', ...recordDocument(record) })
    return exitCodeOf(record.outcome)
  }
  const exec = options.exec
  const places = exec === undefined ? WRITES_MAX : options.concurrency
  const prefetch = options.prefetch ?? (exec === undefined ? PREFETCH : options.concurrency)
  const countMax = options.count ?? Number.POSITIVE_INFINITY
  const taking = new Taking(shell, queue, {
    handle: exec === undefined ? writer(shell) : runner(shell, name, exec),
    places,
    prefetch: Math.min(prefetch, countMax),
    filter: options.filter,
    countMax,
    until: options.untilBarrier === '' ? 'any' : watch,
  })
  const exitCode = await taking.run(interrupt.signal)
  await client.flush()
  return exitCode
}

/** False also while nobody has put it yet. */
async function isReleased(batch: BatchHandle<Uint8Array>): Promise<boolean> {
  try {
    return (await batch.show()).state === 'released'
  } catch (error) {
    if (error instanceof RefusedError && error.code === 'no-such-barrier') return false
    throw error
  }
}

/** Writes each message and acks it once it is written: what a reader who goes away did not get stays in the queue. */
function writer(shell: Shell): Handler {
  const { stdout } = shell.io
  // The write that failed tells; without a listener the process would end before what was written is acked.
  stdout.on('error', () => {})
  return async message => {
    await write(stdout, shell.json ? documentOf(message) : lineOf(message.body))
    await message.ack()
    return 'acked'
  }
}

function runner(shell: Shell, queue: string, command: string): Handler {
  return message => runCommand(command, message, { ...shell.io.env, ...environmentOf(message, queue) })
}

function checkUsage(name: string, more: readonly string[], options: Options): void {
  if (more.length > 0 && options.untilBarrier === '') {
    throw new Stop(
      USAGE,
      `did you mean --until-barrier=NAME? A name is given with "="; "${more[0]}" is one argument too many.`,
      `To end at that barrier:   sluice consume ${name} --until-barrier=${more[0]}`,
    )
  }
  if (more.length > 0) throw new Stop(USAGE, `One queue at a time; "${more.join(' ')}" is too much.`)
  if (options.peek && (options.exec ?? options.untilBarrier ?? options.prefetch) !== undefined) {
    throw new Stop(USAGE, '--peek takes nothing, so it goes with --count and --filter only.')
  }
  if (options.concurrency > 1 && options.exec === undefined) throw new Stop(USAGE, '--concurrency needs --exec.')
}
