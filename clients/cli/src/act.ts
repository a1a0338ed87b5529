import type { Command } from 'commander'
import type { Shell } from './io.ts'

/** Does a command's work and gives its exit code. */
type Work<Options> = (shell: Shell, args: readonly string[], options: Options) => Promise<number>

/** Makes of a command's work what commander calls: shell, arguments and options in place. */
export type Act = <Options>(work: Work<Options>) => (this: Command, ...values: unknown[]) => Promise<void>
