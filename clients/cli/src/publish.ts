import type { BarrierOptions, PublishOptions, Queue, UnconfirmedOptions } from '@sluice/client'
import { Argument, Command, Option } from 'commander'
import { accountOf, refusedSome, sayInterrupted, saySent, sendingStep } from './account.ts'
import type { Act } from './act.ts'
import { readDuration, readHeader, readJsonText, readMore, readNumber, readWhole } from './arguments.ts'
import { RESTS } from './barrier.ts'
import { awaitRelease, recordDocument } from './batch.ts'
import { connected } from './connection.ts'
import { DONE, Stop, USAGE } from './exit.ts'
import { onInterrupt } from './interrupt.ts'
import { printJson, type Shell } from './io.ts'
import { linesOf, oneMessage, type Source } from './messages.ts'
import { Sender } from './sender.ts'

interface Options {
  readonly file?: string
  /** Empty: a barrier without a name. */
  readonly barrier?: string
  readonly barrierBody?: string
  readonly deadline?: number
  readonly rest?: (typeof RESTS)[number]
  readonly parties?: number
  readonly party?: string
  readonly forward?: readonly string[]
  readonly wait?: boolean
  readonly timeout?: number
  readonly header?: Readonly<Record<string, string>>
  readonly messageId?: string
  readonly idField?: string
  readonly dedupe?: boolean
  readonly group?: string
  readonly priority?: number
  readonly delay?: number
  readonly ttl?: number
  readonly chunk: number
  readonly confirm?: 'durable' | 'accepted' | 'none'
}

/** How long an interrupted command waits for the answers that are on their way. */
const LAST_ANSWERS_MS = 2_000

export function publishCommand(act: Act): Command {
  return new Command('publish')
    .summary('publish messages, and put a barrier behind them')
    .description('Publishes one message, or a file of JSON lines, and puts a barrier behind them if asked.')
    .argument('<queue>', 'queue to publish to')
    .addArgument(new Argument('[body]', 'the message; - reads it from stdin'))
    .option('--file <file>', 'a message a line of this file of JSON lines; - reads stdin')
    .option('--barrier [=name]', 'put a barrier behind the messages (a name is given with "=")')
    .option('--barrier-body <json>', 'body of the barrier', readJsonText)
    .option('--deadline <duration>', 'end its batch after this long, done or not (30m, 6h)', readDuration)
    .addOption(new Option('--rest <how>', 'what then becomes of the messages that are left').choices(RESTS))
    .option('--parties <count>', 'how many parties must put this barrier before it counts', readWhole(1))
    .option('--party <name>', 'which of them this is')
    .option('--forward <queue>', 'where it goes on to when it is released; can be given again', readMore)
    .option('--wait', 'wait until the barrier is released; the exit code says how it ended')
    .option('--timeout <duration>', 'wait no longer than this (30s, 6h)', readDuration)
    .option('--header <name=value>', 'header of each message; can be given again', readHeader)
    .option('--message-id <id>', 'id of the message')
    .option('--id-field </path>', 'field of each message that holds its id; repeated ids are left out (dedupe)')
    .option('--dedupe', 'insist that a repeated --message-id is left out')
    .option('--group <name>', 'messages of a group are delivered one at a time, in order')
    .option('--priority <number>', 'higher goes first, on a queue with priorities', readNumber)
    .option('--delay <duration>', 'keep out of sight for this long', readDuration)
    .option('--ttl <duration>', 'expire after this long', readDuration)
    .addOption(
      new Option(
        '--confirm <when>',
        'when a message counts as published: on disk, on its way there, or (at-most-once queues) unsaid',
      ).choices(['durable', 'accepted', 'none']),
    )
    .option('--chunk <count>', 'messages sent together', readWhole(1), 500)
    .addHelpText('after', EXAMPLES)
    .action(act<Options>((shell, [queue, body], options) => publish(shell, queue!, body, options)))
}

const EXAMPLES = `
Examples:
  One message:
    $ sluice publish orders '{"id":1}'
  A night's file, its end, and what comes after it once all of it is done:
    $ sluice publish sales --file sales.ndjson --barrier=eof-2026-11-20 --wait && run-analytics
  The same from many stores; the night is done when all of them have come:
    $ sluice publish sales --file store-17.ndjson --barrier=eof-2026-11-20 --parties 1200 --party store-17
  Every line a message, whatever program makes them:
    $ zcat sales.ndjson.gz | sluice publish sales --file -
`

async function publish(shell: Shell, name: string, body: string | undefined, options: Options): Promise<number> {
  checkUsage(name, body, options)
  const source = await sourceOf(shell, body, options)
  using interrupt = onInterrupt()
  await using client = await connected(shell)
  const queue = client.queue<Uint8Array>(name, { codec: 'bytes' })
  const sender = new Sender(queue, propertiesOf(options), options.chunk)
  const startedMs = performance.now()

  client.addEventListener('warning', ({ detail: { code, count = 0, detail } }) => {
    if (code === 'publish-refused') sender.refuseLate(count, detail)
  })
  if (source !== undefined) await sendAll(shell, source, sender, interrupt.signal)
  // Nobody says what became of them, but what was refused is heard by then.
  if (options.confirm === 'none' && !interrupt.signal.aborted) await client.flush()
  if (interrupt.signal.aborted) return sayInterrupted(shell, sender, options.barrier !== undefined)
  const account = { queue: name, ...accountOf(sender, performance.now() - startedMs) }
  if (sender.refusedCount > 0) return refusedSome(shell, sender, account, options.barrier !== undefined)
  saySent(shell, name, sender)
  if (options.barrier === undefined) {
    if (shell.json) await printJson(shell, account)
    return DONE
  }
  return await putBarrier(shell, queue, options, account, interrupt.signal)
}

function checkUsage(name: string, body: string | undefined, options: Options): void {
  const wrong = (message: string, ...next: string[]) => new Stop(USAGE, message, ...next)
  if (body !== undefined && body !== '-' && options.barrier === '') {
    throw wrong(
      `did you mean --barrier=NAME? A name is given with "="; "${body}" is taken for the body of a message.`,
      `To name the barrier:           sluice publish ${name} --barrier=${body}`,
      'For a message and a barrier:   give the barrier a name with --barrier=NAME',
    )
  }
  if (body !== undefined && options.file !== undefined) throw wrong('Give a BODY or --file, not both.')
  if (body === undefined && options.file === undefined && options.barrier === undefined) {
    throw wrong('There is nothing to publish.', `Give a BODY, "-" for stdin, --file F.ndjson or --barrier.`)
  }
  if (options.barrier === undefined && (options.wait || options.barrierBody !== undefined)) {
    throw wrong(
      `${options.wait ? '--wait' : '--barrier-body'} needs --barrier: it is a barrier that says when all is done.`,
    )
  }
  const ofBarrier = OF_BARRIER.find(option => options.barrier === undefined && options[option] !== undefined)
  if (ofBarrier !== undefined) throw wrong(`--${ofBarrier} needs --barrier.`)
  if (options.barrier === '' && (options.parties !== undefined || options.party !== undefined)) {
    throw wrong('Parties meet at a name: give the barrier one with --barrier=NAME.')
  }
  if (options.dedupe && options.messageId === undefined && options.idField === undefined) {
    throw wrong('--dedupe needs --message-id: it is by their ids that repeated messages are known.')
  }
  if (options.timeout !== undefined && !options.wait) throw wrong('--timeout needs --wait.')
  if (options.messageId !== undefined && body === undefined)
    throw wrong('--message-id is for one BODY; --id-field is for a file.')
  if (options.idField !== undefined && options.file === undefined)
    throw wrong('--id-field is for --file; --message-id is for one BODY.')
}

const OF_BARRIER = ['deadline', 'rest', 'parties', 'party', 'forward'] as const

async function sourceOf(shell: Shell, body: string | undefined, options: Options): Promise<Source | undefined> {
  if (body !== undefined) return oneMessage(body, shell.io.stdin, options.messageId)
  return options.file === undefined ? undefined : await linesOf(options.file, shell.io.stdin, options.idField)
}

function propertiesOf(options: Options): PublishOptions | UnconfirmedOptions {
  const { confirm } = options
  const properties = {
    ...(options.header === undefined ? {} : { headers: options.header }),
    ...(options.group === undefined ? {} : { group: options.group }),
    ...(options.priority === undefined ? {} : { priority: options.priority }),
    ...(options.delay === undefined ? {} : { delayMs: options.delay }),
    ...(options.ttl === undefined ? {} : { ttlMs: options.ttl }),
    ...(options.idField === undefined && !options.dedupe ? {} : { dedupe: true }),
  }
  return confirm === undefined ? properties : ({ ...properties, confirm } as PublishOptions | UnconfirmedOptions)
}

function barrierOptionsOf(options: Options): BarrierOptions {
  const { barrier, barrierBody, deadline, rest, parties, party, forward } = options
  return {
    ...(barrier ? { name: barrier } : {}),
    ...(barrierBody === undefined ? {} : { body: Buffer.from(barrierBody) }),
    ...(deadline === undefined ? {} : { deadlineMs: deadline }),
    ...(rest === undefined ? {} : { deadlineRest: rest }),
    ...(parties === undefined ? {} : { parties }),
    ...(party === undefined ? {} : { party }),
    ...(forward === undefined ? {} : { forward }),
  }
}

/** Sends everything there is, or what there is until the interrupt; resolves when all of it is answered. */
async function sendAll(shell: Shell, source: Source, sender: Sender, signal: AbortSignal): Promise<void> {
  const finish = shell.talk.progress(sendingStep(source, sender))
  signal.addEventListener('abort', () => sender.stop(LAST_ANSWERS_MS), { once: true })
  try {
    for await (const items of source.items(signal)) {
      for (const item of items) {
        if ('refused' in item) sender.refuse(item.refused)
        else await sender.send(item)
      }
    }
    await sender.settled()
  } catch (error) {
    if (!signal.aborted) throw error
    await sender.settled()
  } finally {
    finish()
  }
}

async function putBarrier(
  shell: Shell,
  queue: Queue<Uint8Array>,
  options: Options,
  account: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<number> {
  const batch = await queue.barrier(barrierOptionsOf(options))
  if (!options.wait) {
    const { party } = options
    const what = `barrier ${batch.name}`
    const done = party === undefined ? `${what} stands in` : `${party} has come to ${what} of`
    shell.talk.done(`${done} ${queue.name}; wait for it: sluice wait ${queue.name} ${batch.name}`)
    if (shell.json) await printJson(shell, { ...account, barrier: { name: batch.name } })
    return DONE
  }
  shell.talk.say(` barrier  ${batch.name}   waiting`)
  const what = { queue: queue.name, barrier: batch.name, timeoutMs: options.timeout, signal }
  const { record, exitCode } = await awaitRelease(shell, batch, what)
  if (shell.json)
    await printJson(shell, {
      ...account,
      barrier: record === undefined ? { name: batch.name } : recordDocument(record),
    })
  return exitCode
}
