import { ByteWriter, encodeMessage, type MessageProperties } from '@sluice/protocol'
import type { PublishAnswer, PublishCommand } from '../../engine/peer.ts'
import type { Exchange } from './exchange.ts'
import { encoding, Problem } from './problem.ts'

/** All answers of one publish. */
export function publishAll({ connection }: Exchange, command: PublishCommand): Promise<readonly PublishAnswer[]> {
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

/** The bytes in a buffer of their own size: the engine keeps them, and with them the whole buffer. */
function exactly(bytes: Uint8Array): Uint8Array {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes : Uint8Array.prototype.slice.call(bytes)
}
