import { ByteWriter, encodeMessage, type MessageProperties } from '@sluice/protocol'
import type { PublishAnswer, PublishCommand, Refusal } from '../../engine/peer.ts'
import type { Exchange } from './exchange.ts'
import { encoding, Problem } from './problem.ts'

/** What one connection may have on its way to the disk without having waited for it, as natively. */
const UNKEPT_BYTES_MAX = 4 * 1024 * 1024

/** What a message mostly needs beside its body. */
const PROPERTIES_BYTES = 64

interface Message {
  readonly properties: MessageProperties
  readonly body: Uint8Array
}

/** All answers of one publish. */
export function publishAll({ connection }: Exchange, command: PublishCommand): Promise<readonly PublishAnswer[]> {
  connection.published(command.count, command.bytes.length)
  return connection.wait((peer, answered) => {
    const answers: PublishAnswer[] = []
    let open = command.count
    peer.publish(command, some => {
      for (const answer of some) {
        answers.push(answer)
        open -= answer.count
      }
      if (open === 0) answered(answers)
    })
    return undefined
  })
}

/**
 * Publishes one message, which no producer numbers: what HTTP has instead is dedupe by message id (P9).
 *
 * @returns where it went. @throws Problem when it was refused
 */
export async function publishOne(
  exchange: Exchange,
  command: Omit<PublishCommand, 'bytes' | 'count'>,
  message: Message,
): Promise<Exclude<PublishAnswer, { refusal: unknown }>> {
  const [answer] = await publishAll(exchange, { ...command, bytes: recordOf(message), count: 1 })
  if (answer === undefined || 'refusal' in answer) throw Problem.of(answer!.refusal)
  return answer
}

/**
 * Publishes one message without waiting for the disk, unless a lot of this connection's waits for it already.
 *
 * @throws Problem when it was refused
 */
export async function publishUnconfirmed(
  { connection }: Exchange,
  command: Omit<PublishCommand, 'bytes' | 'count' | 'confirm'>,
  message: Message,
): Promise<void> {
  const bytes = recordOf(message)
  connection.published(1, bytes.length)
  connection.unkeptBytes += bytes.length
  const refusal = await connection.ask<Refusal | undefined>((peer, answered) => {
    let waits: (() => void) | undefined
    const told = ([answer]: readonly PublishAnswer[]) => {
      const tell = () => answered(answer !== undefined && 'refusal' in answer ? answer.refusal : undefined)
      if (connection.unkeptBytes > UNKEPT_BYTES_MAX) waits = tell
      else tell()
    }
    peer.publish({ ...command, confirm: 'none', bytes, count: 1 }, told, () => {
      connection.unkeptBytes -= bytes.length
      waits?.()
    })
  })
  if (refusal !== undefined) throw Problem.of(refusal)
}

/** The buffer may be part of a larger one: it is kept until the commit, which has a copy. */
function recordOf({ properties, body }: Message): Uint8Array {
  const writer = new ByteWriter(Buffer.allocUnsafe)
  writer.reserve(body.length + PROPERTIES_BYTES)
  encoding(() => encodeMessage(writer, properties, body))
  return writer.take()
}
