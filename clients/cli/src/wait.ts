import { Command } from 'commander'
import type { Act } from './act.ts'
import { readDuration } from './arguments.ts'
import { awaitRelease, recordDocument } from './batch.ts'
import { connected } from './connection.ts'
import { onInterrupt } from './interrupt.ts'
import { printJson, type Shell } from './io.ts'

interface Options {
  readonly timeout?: number
}

export function waitCommand(act: Act): Command {
  return new Command('wait')
    .summary('wait until a barrier is released')
    .description(
      'Waits until all in front of a barrier is done. The exit code says how: 0 clean, 7 with dead letters, 8 ended early.',
    )
    .argument('<queue>', 'queue the barrier stands in')
    .argument('<barrier>', 'its name, or @ and its sequence number')
    .option('--timeout <duration>', 'wait no longer than this (30s, 6h); then the exit code is 6', readDuration)
    .addHelpText('after', EXAMPLES)
    .action(act<Options>((shell, [queue, barrier], options) => wait(shell, queue!, barrier!, options)))
}

const EXAMPLES = `
A barrier that is released already answers at once, after a restart too; one that nobody has put yet is waited for.

Examples:
  $ sluice wait sales eof-2026-11-20 --timeout 6h && run-analytics
  $ sluice wait sales @1204332 --json
`

async function wait(shell: Shell, name: string, barrier: string, options: Options): Promise<number> {
  using interrupt = onInterrupt()
  await using client = await connected(shell)
  const batch = client.queue<Uint8Array>(name, { codec: 'bytes' }).batch(barrier)
  const what = { queue: name, barrier, timeoutMs: options.timeout, signal: interrupt.signal }
  const { record, exitCode } = await awaitRelease(shell, batch, what)
  if (shell.json && record !== undefined) await printJson(shell, recordDocument(record))
  return exitCode
}
