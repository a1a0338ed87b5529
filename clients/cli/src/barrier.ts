import { RefusedError } from '@sluice/client'
import { Command, Option } from 'commander'
import type { Act } from './act.ts'
import { readDuration, readWhole } from './arguments.ts'
import { DONE, REFUSED, Stop } from './exit.ts'
import { count, counted, elapsed } from './format.ts'
import { ask, barrierPath, type Document, queuePath, withQuery } from './http.ts'
import { confirmed, printJson, type Shell } from './io.ts'
import { type Cell, printTable } from './table.ts'

/** A barrier as the server shows it. */
interface Barrier extends Document {
  readonly name?: string
  readonly sequence: number
  readonly state: 'gathering' | 'waiting' | 'released'
  readonly outcome?: string
  /** Absent for a token that sees only some messages. */
  readonly progress?: Progress
  readonly deadline_at?: string
  readonly released_at?: string
  readonly parties?: { readonly count: number; readonly arrived: readonly string[] }
}

interface Progress {
  readonly published: number
  readonly acked: number
  readonly leased: number
  readonly ready: number
  readonly delayed: number
  readonly dead: number
}

interface Receipt {
  readonly receipt: Document
  readonly sha256: string
}

interface Holdout extends Document {
  readonly sequence: number
  readonly lease_age_ms?: number
}

interface PageOptions {
  readonly after?: number
  readonly limit: number
}

interface ListOptions {
  readonly state?: string
  readonly after?: number
  readonly bodies?: boolean
}

/** Barriers asked for at once. */
const PAGE = 500

export const RESTS = ['carry', 'dead-letter', 'drop'] as const

export function barrierCommand(act: Act): Command {
  const barrier = new Command('barrier')
    .summary('look at barriers and what holds them, cancel and extend them')
    .description('Looks after the barriers of a queue. One is named by its name, or by @ and its sequence number.')
  barrier
    .command('list')
    .description('Lists the barriers that wait, and those released whose record is kept.')
    .argument('<queue>')
    .addOption(new Option('--state <state>', 'only those in this state').choices(['gathering', 'waiting', 'released']))
    .option('--after <sequence>', 'only those behind this one', readWhole(0))
    .option('--bodies', 'with their bodies, as JSON (--json)')
    .action(act<ListOptions>((shell, [queue], options) => list(shell, queue!, options)))
  const command = (name: string, description: string) =>
    barrier.command(name).description(description).argument('<queue>').argument('<barrier>', 'its name, or @sequence')
  command('show', 'Shows how far its batch is, or how it ended.')
    .option('--receipt', 'of a released one what can be filed, with its SHA-256')
    .action(
      act<{ receipt?: boolean }>((shell, [queue, name], options) =>
        options.receipt === true ? receipt(shell, queue!, name!) : show(shell, queue!, name!),
      ),
    )
  command('holdouts', 'Lists the messages that hold it, and why.')
    .option('--after <sequence>', 'only those behind this one', readWhole(0))
    .option('--limit <count>', 'no more than so many', readWhole(1), 100)
    .action(act<PageOptions>((shell, [queue, name], options) => holdouts(shell, queue!, name!, options)))
  command('cancel', 'Ends its batch now, with outcome "cancelled".')
    .addOption(new Option('--rest <how>', 'what becomes of the messages that are left').choices(RESTS))
    .action(act<{ rest?: string }>((shell, [queue, name], { rest }) => cancel(shell, queue!, name!, rest)))
  command('extend', 'Gives it more time.')
    .requiredOption('--deadline <duration>', 'the new deadline, from now (30m, 6h)', durationText)
    .action(act<{ deadline: string }>((shell, [queue, name], options) => extend(shell, queue!, name!, options)))
  return barrier.addHelpText('after', EXAMPLES)
}

const EXAMPLES = `
Examples:
  What holds the night's batch?
    $ sluice barrier holdouts sales eof-2026-11-20
  File what became of it, with a hash that anybody can compute again:
    $ sluice barrier show sales eof-2026-11-20 --receipt --json > receipt.json
    $ jq -cjS .receipt receipt.json | sha256sum
  Go on without the rest, which stays in the queue and joins the next batch:
    $ sluice barrier cancel sales eof-2026-11-20 --rest carry
`

function durationText(text: string): string {
  readDuration(text)
  return text
}

async function list(shell: Shell, queue: string, { state, after, bodies }: ListOptions): Promise<number> {
  const barriers: Barrier[] = []
  for (let next = after, isMore = true; isMore; ) {
    const path = withQuery(`${queuePath(queue)}/barriers`, { state, after: next, limit: PAGE, bodies })
    const page = (await ask(shell, 'GET', path)) as unknown as { barriers: readonly Barrier[]; next?: number }
    barriers.push(...page.barriers)
    next = page.next
    isMore = next !== undefined
  }
  if (shell.json) await printJson(shell, barriers)
  else if (barriers.length > 0 || !shell.io.stdout.isTTY) {
    const head = [
      'BARRIER',
      'SEQUENCE',
      'STATE',
      'OUTCOME',
      'PUBLISHED',
      'ACKED',
      'DEAD',
      'LEFT',
      'DEADLINE',
      'RELEASED',
    ]
    await printTable(shell, head, barriers.map(rowOf))
  }
  if (barriers.length === 0)
    shell.talk.say(` There are no barriers in ${queue} yet. Put one: sluice publish ${queue} --barrier`)
  return DONE
}

function rowOf(barrier: Barrier): readonly Cell[] {
  const { sequence, state, outcome, progress, deadline_at, released_at } = barrier
  const { published, acked, dead } = progress ?? {}
  return [
    nameOf(barrier),
    sequence,
    state,
    outcome,
    published,
    acked,
    dead,
    progress && leftOf(progress),
    deadline_at,
    released_at,
  ]
}

async function show(shell: Shell, queue: string, name: string): Promise<number> {
  const barrier = await ask(shell, 'GET', barrierPath(queue, name))
  if (shell.json) await printJson(shell, barrier)
  else {
    const { progress, stats, parties, ...rest } = barrier
    const rows = Object.entries({ ...rest, ...((stats ?? progress) as Document), ...(parties as Document | undefined) })
    await printTable(
      shell,
      ['WHAT', 'VALUE'],
      rows.map(([what, value]) => [what, shown(value)]),
    )
  }
  return DONE
}

async function receipt(shell: Shell, queue: string, name: string): Promise<number> {
  const answer = (await ask(shell, 'GET', `${barrierPath(queue, name)}/receipt`)) as unknown as Receipt
  if (shell.json) await printJson(shell, answer)
  else {
    const { counts, ...rest } = answer.receipt
    const rows = Object.entries({ ...rest, ...(counts as Document), sha256: answer.sha256 })
    await printTable(
      shell,
      ['WHAT', 'VALUE'],
      rows.map(([what, value]) => [what, shown(value)]),
    )
  }
  return DONE
}

async function holdouts(shell: Shell, queue: string, name: string, { after, limit }: PageOptions): Promise<number> {
  const path = withQuery(`${barrierPath(queue, name)}/holdouts`, { after, limit })
  const { holdouts } = (await ask(shell, 'GET', path)) as { holdouts: readonly Holdout[] }
  if (shell.json) await printJson(shell, holdouts)
  else if (holdouts.length > 0 || !shell.io.stdout.isTTY) {
    const rows = holdouts.map(holdout => {
      const { sequence, state, reason, attempt, holder, lease_age_ms: ageMs } = holdout
      return [sequence, state, reason, attempt, holder, ageMs === undefined ? undefined : elapsed(ageMs)] as Cell[]
    })
    await printTable(shell, ['SEQUENCE', 'STATE', 'REASON', 'ATTEMPT', 'HOLDER', 'LEASED'], rows)
  }
  const last = holdouts.at(-1)?.sequence
  if (last === undefined) shell.talk.say(` No message holds ${name}.`)
  else if (holdouts.length === limit) shell.talk.say(` there may be more: --after ${last}`)
  return DONE
}

/** What becomes of the rest, in words. */
const REST_WORDS: Readonly<Record<string, string>> = {
  carry: 'go over to the next batch',
  'dead-letter': 'are dead-lettered',
  drop: 'are dropped',
}

async function cancel(shell: Shell, queue: string, name: string, rest: string | undefined): Promise<number> {
  const before = (await ask(shell, 'GET', barrierPath(queue, name))) as Barrier
  if (before.state !== 'released') await confirmed(shell, questionOf(before, queue, rest))
  const barrier = await change(shell, withQuery(`${barrierPath(queue, name)}/cancel`, { rest }))
  if (shell.json) await printJson(shell, barrier)
  const what = barrier.state === 'released' ? `released, outcome ${barrier.outcome}` : 'being cancelled'
  shell.talk.done(`${nameOf(barrier)} of ${queue} is ${what}`)
  return DONE
}

function questionOf(barrier: Barrier, queue: string, rest: string | undefined): string {
  const { state, progress, parties } = barrier
  const what =
    state === 'gathering'
      ? `${parties?.arrived.length ?? 0} of ${counted(parties?.count ?? 0, 'party', 'parties')} have come`
      : `${count(progress ? leftOf(progress) : Number.NaN)} of its ${counted(progress?.published ?? Number.NaN, 'message')} are not done`
  const then = rest === undefined ? 'go as the barrier or its queue says' : REST_WORDS[rest]
  return `Cancel barrier ${nameOf(barrier)} of ${queue}? ${what}, and ${then}.`
}

async function extend(shell: Shell, queue: string, name: string, { deadline }: { deadline: string }): Promise<number> {
  const barrier = await change(shell, withQuery(`${barrierPath(queue, name)}/extend`, { deadline }))
  if (shell.json) await printJson(shell, barrier)
  shell.talk.done(`${nameOf(barrier)} of ${queue} has ${deadline} from now`)
  return DONE
}

async function change(shell: Shell, path: string): Promise<Barrier> {
  try {
    return (await ask(shell, 'POST', path)) as Barrier
  } catch (error) {
    // What helps a publisher against this refusal, another name, helps nobody here.
    if (error instanceof RefusedError && error.code === 'barrier-exists') throw new Stop(REFUSED, error.message)
    throw error
  }
}

function nameOf({ name, sequence }: Barrier): string {
  return name ?? `@${sequence}`
}

function leftOf({ leased, ready, delayed }: Progress): number {
  return leased + ready + delayed
}

function shown(value: unknown): Cell {
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : (value as Cell)
}
