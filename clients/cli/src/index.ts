import { type Command, CommanderError } from 'commander'
import type { Act } from './act.ts'
import { closeOptionalValues } from './arguments.ts'
import { COMPLETE, complete } from './completion.ts'
import { DONE, Stop, USAGE } from './exit.ts'
import { explain } from './explain.ts'
import type { Here } from './here.ts'
import { type CommonOptions, DEFAULT_URL, type Io, type Shell, shellOf, tokenOf } from './io.ts'
import { programOf } from './program.ts'

export type { Here } from './here.ts'
export type { Io } from './io.ts'

/**
 * Runs one `sluice` command, all but `serve`.
 *
 * @param argv words behind the program's name
 * @param here what is done on this machine without a server; absent: nothing is
 * @returns the exit code; the process is left alone
 */
export async function run(argv: readonly string[], io: Io = process, here?: Here): Promise<number> {
  let exitCode = DONE
  const act: Act = work =>
    async function (this: Command, ...values: unknown[]) {
      const options = this.optsWithGlobals()
      const args = values.slice(0, -2).flat() as string[]
      exitCode = await guarded(shellOf(io, options as CommonOptions), shell => {
        const token = tokenOf(io, options as CommonOptions)
        return work({ ...shell, token }, args, options as never)
      })
    }
  const program = programOf(io, act, here)
  if (argv[0] === COMPLETE) {
    const shell = shellOf(io, {})
    return complete({ ...shell, token: tokenOf(io, {}) }, program, argv.slice(1))
  }
  try {
    await program.parseAsync(closeOptionalValues(argv), { from: 'user' })
    return exitCode
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return error.exitCode === 0 ? DONE : USAGE
  }
}

/** Says what went wrong and what can be done next, and makes an exit code of it. */
async function guarded(shell: Shell, work: (shell: Shell) => Promise<number>): Promise<number> {
  try {
    if (!URL.canParse(shell.url)) throw new Stop(USAGE, `--url is like ${DEFAULT_URL}, not "${shell.url}".`)
    return await work(shell)
  } catch (error) {
    // The reader went away: it has what it wanted (`sluice consume Q | head -3`).
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') return DONE
    const { exitCode, message, next } = explain(error, shell)
    shell.talk.failed(message)
    for (const line of next) shell.talk.say(`   ${line}`)
    return exitCode
  }
}
