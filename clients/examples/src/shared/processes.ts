import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'

/** Starts another program of this folder as a process of its own, and resolves when it says that it is ready. */
export async function start(program: URL, args: readonly string[]): Promise<ChildProcess> {
  const child = fork(program, args)
  const [first] = await Promise.race([once(child, 'message'), once(child, 'exit')])
  if (first !== 'ready') throw new Error(`${program.pathname} ended before it was ready`)
  return child
}

/** Says so to the process that started this one, if one did. */
export function ready(): void {
  process.send?.('ready')
}

export function sleep(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}

const NUMBERS = new Intl.NumberFormat('en-US')

/** `1,204,331` */
export function count(value: number): string {
  return NUMBERS.format(value)
}
