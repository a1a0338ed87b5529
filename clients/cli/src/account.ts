import type { Step } from './bar.ts'
import { INTERRUPTED, REFUSED } from './exit.ts'
import { count, counted, elapsed, rate } from './format.ts'
import { printJson, type Shell } from './io.ts'
import type { Source } from './messages.ts'
import { Meter } from './meter.ts'
import type { Sender } from './sender.ts'

/** How many refusals are said one by one; the others are only counted. */
const REFUSED_SAID_MAX = 10

/** How far the sending is. */
export function sendingStep(source: Source, sender: Sender): () => Step {
  const startedMs = performance.now()
  const meter = new Meter()
  return () => {
    const nowMs = performance.now()
    const read = sender.accepted + sender.refusedCount + sender.unanswered
    const fraction = source.fraction()
    const isDone = fraction === 1 && sender.unanswered === 0
    // At the end the rate of the whole is what one wants to know.
    const perSecond = isDone ? (sender.accepted * 1_000) / (nowMs - startedMs) : meter.rate(sender.accepted, nowMs)
    const isAll = fraction === undefined || fraction >= 1
    const total = isAll ? count(read) : `~${count(read / fraction)}`
    return {
      label: 'publish',
      ...(fraction === undefined || read === 0 ? {} : { fraction: (fraction * sender.accepted) / read }),
      parts: [
        `${count(sender.accepted)} / ${total}`,
        rate(perSecond),
        `${count(sender.refusedCount)} refused`,
        elapsed(nowMs - startedMs),
      ],
      report: {
        phase: 'publish',
        accepted: sender.accepted,
        refused: sender.refusedCount,
        rate_per_second: Math.round(perSecond),
        fraction: fraction ?? null,
        elapsed_ms: Math.round(nowMs - startedMs),
      },
    }
  }
}

/** What became of the messages, for programs. */
export function accountOf(sender: Sender, elapsedMs: number): Readonly<Record<string, unknown>> {
  return {
    accepted: sender.accepted,
    duplicates: sender.duplicates,
    refused_count: sender.refusedCount,
    ...(sender.refused.length === 0 ? {} : { refused: sender.refused }),
    ...(sender.firstSequence === undefined
      ? {}
      : { first_sequence: sender.firstSequence, last_sequence: sender.lastSequence }),
    elapsed_ms: Math.round(elapsedMs),
  }
}

export function saySent(shell: Shell, name: string, sender: Sender): void {
  if (sender.accepted === 0) return
  const where = sender.accepted === 1 ? `, sequence ${sender.firstSequence}` : ''
  const repeated = sender.duplicates === 0 ? '' : `, ${counted(sender.duplicates, 'duplicate')} left out`
  shell.talk.done(`${counted(sender.accepted, 'message')} in ${name}${where}${repeated}`)
}

/** Says which were refused and why. @returns the exit code */
export async function refusedSome(
  shell: Shell,
  sender: Sender,
  account: unknown,
  wantedBarrier: boolean,
): Promise<number> {
  if (shell.json) await printJson(shell, account)
  for (const { line, code, detail } of sender.refused.slice(0, REFUSED_SAID_MAX)) {
    shell.talk.failed(`${line === undefined ? '' : `line ${line}: `}${code}: ${detail}`)
  }
  const more = sender.refusedCount - REFUSED_SAID_MAX
  if (more > 0) shell.talk.say(`   … and ${count(more)} more`)
  const all = sender.refusedCount + sender.accepted
  const noBarrier = wantedBarrier ? ' No barrier was put: the batch is incomplete.' : ''
  shell.talk.failed(`${count(sender.refusedCount)} of ${counted(all, 'message')} refused.${noBarrier}`)
  return REFUSED
}

/** Says what was accepted until then. @returns the exit code */
export function sayInterrupted(shell: Shell, sender: Sender, wantedBarrier: boolean): number {
  const unsure = sender.unanswered === 0 ? '' : `, ${count(sender.unanswered)} without an answer`
  const noBarrier = wantedBarrier ? '; no barrier was put' : ''
  shell.talk.warn(`interrupted: ${counted(sender.accepted, 'message')} accepted${unsure}${noBarrier}`)
  return INTERRUPTED
}
