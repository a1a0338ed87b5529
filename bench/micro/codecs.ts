import { ByteWriter, decodeFrames, encodeFrame, encodeMessage, MessageCursor } from '@sluice/protocol'
import type { Part } from './part.ts'

const COUNT = 100
const BODY = Buffer.alloc(100, 'x')

export function codecs(): Part {
  const writer = new ByteWriter(Buffer.allocUnsafe)
  const records = (properties?: { readonly messageId: string }): Uint8Array => {
    for (let i = 0; i < COUNT; i++) encodeMessage(writer, properties, BODY)
    return writer.take()
  }
  const plain = records()
  const named = records({ messageId: '0123456789abcdef' })
  const publish = { queue: 'orders', number: 1, answeredUpTo: 0, flags: 0, count: COUNT, messages: plain }
  const frame = (messages: Uint8Array): Uint8Array => {
    encodeFrame(writer, 'publish', { ...publish, messages })
    return writer.take()
  }
  const whole = frame(plain)
  const cursor = new MessageCursor()
  const walk = (bytes: Uint8Array, isRead: boolean): void => {
    const at = cursor.open(bytes)
    let count = 0
    for (; at.next(); count++) if (isRead) at.properties()
    if (count !== COUNT) throw new Error(`${count} records`)
  }
  return {
    cases: [
      { name: 'write 100 records of 100 B', messages: COUNT, step: () => void records() },
      { name: 'write 100 records with a message id', messages: COUNT, step: () => void records({ messageId: 'a-17' }) },
      { name: 'walk 100 records', messages: COUNT, step: () => walk(plain, false) },
      { name: 'walk 100 records and read their properties', messages: COUNT, step: () => walk(named, true) },
      { name: 'write a publish frame of 100', messages: COUNT, step: () => void frame(plain) },
      {
        name: 'read a publish frame of 100',
        messages: COUNT,
        step: () => {
          for (const { name } of decodeFrames(whole, 'client')) if (name !== 'publish') throw new Error(name)
        },
      },
    ],
  }
}
