import { ByteWriter, encodeMessage, type MessageProperties } from '@sluice/protocol'
import type { PublishAnswer, PublishCommand, Refusal } from '../../engine/peer.ts'
import type { Exchange } from './exchange.ts'
import { encoding, Problem } from './problem.ts'

/** What one connection may have on its way to the disk without having waited for it, as natively. */
const UNKEPT_BYTES_MAX = 4 * 1024 * 1024

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
  message: { readonly properties: MessageProperties; readonly body: Uint8Array },
): Promise<Exclude<PublishAnswer, { refusal: unknown }>> {
  const writer = new ByteWriter(Buffer.allocUnsafe)
  encoding(() => encodeMessage(writer, message.properties, message.body))
  const [answer] = await publishAll(exchange, { ...command, bytes: exactly(writer.take()), count: 1 })
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
  message: { readonly properties: MessageProperties; readonly body: Uint8Array },
): Promise<void> {
  const writer = new ByteWriter(Buffer.allocUnsafe)
  encoding(() => encodeMessage(writer, message.properties, message.body))
  const bytes = exactly(writer.take())
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

/** The bytes in a buffer of their own size: the engine keeps them, and with them the whole buffer. */
function exactly(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : Uint8Array.prototype.slice.call(bytes)
}
