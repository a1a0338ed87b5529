import { spawn } from 'node:child_process'
import type { Message } from '@sluice/client'
import { Stop, UNEXPECTED } from './exit.ts'
import type { Settled } from './taking.ts'

const EX_OK = 0
/** sysexits.h: the input data was incorrect. */
const EX_DATAERR = 65
/** POSIX shells: the command was found but cannot be run; it was not found. */
const CANNOT_RUN = [126, 127]

/**
 * Runs a command of the shell for one message, its body on stdin: exit 0 acks, 65 rejects, anything else nacks.
 * A command whose message was given to somebody else meanwhile is ended.
 */
export async function runCommand(
  command: string,
  message: Message<Uint8Array>,
  environment: NodeJS.ProcessEnv,
): Promise<Settled> {
  const exitCode = await exitCodeOf(command, message, environment)
  if (message.leaseSignal.aborted) return 'lost'
  if (exitCode === EX_OK) {
    await message.ack()
    return 'acked'
  }
  if (exitCode === EX_DATAERR) {
    await message.reject(`rejected by ${command}`)
    return 'rejected'
  }
  await message.nack()
  if (CANNOT_RUN.includes(exitCode ?? EX_OK)) {
    // Going on would carry the whole queue to the dead letters because of one mistyped word.
    throw new Stop(UNEXPECTED, `The command cannot be run (exit code ${exitCode}): ${command}`)
  }
  return 'nacked'
}

/** @returns null when a signal ended the command */
function exitCodeOf(
  command: string,
  message: Message<Uint8Array>,
  environment: NodeJS.ProcessEnv,
): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, { shell: true, stdio: ['pipe', 'inherit', 'inherit'], env: environment })
    const end = () => child.kill('SIGTERM')
    message.leaseSignal.addEventListener('abort', end, { once: true })
    child.on('error', reject)
    child.on('close', exitCode => {
      message.leaseSignal.removeEventListener('abort', end)
      resolve(exitCode)
    })
    // A command that does not read its input has not failed by that.
    child.stdin.on('error', () => {})
    child.stdin.end(message.body)
  })
}

/** What a command is told of its message beside the body. */
export function environmentOf(message: Message<Uint8Array>, queue: string): Record<string, string> {
  return {
    SLUICE_QUEUE: queue,
    SLUICE_SEQUENCE: String(message.sequence),
    SLUICE_ATTEMPT: String(message.attempt),
    ...(message.messageId === undefined ? {} : { SLUICE_MESSAGE_ID: message.messageId }),
  }
}
