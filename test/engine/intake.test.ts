import { ByteWriter, encodeMessage } from '@sluice/protocol'
import { expect, test } from 'vitest'
import { DEFAULT_OPTIONS } from '../../src/core/options.ts'
import { Intake } from '../../src/engine/intake.ts'

test('D11: a barrier, which is kept long, does not hold the frame that it came in', () => {
  const writer = new ByteWriter(Buffer.alloc)
  encodeMessage(writer, undefined, Buffer.alloc(100_000, 'x'))
  encodeMessage(writer, { barrier: { name: 'eof' } }, Buffer.from('{}'))
  const none = { filter: undefined, barrier: undefined, priority: undefined, group: undefined }
  const target = {
    name: 'q',
    options: DEFAULT_OPTIONS,
    expressions: none,
    room: { messages: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY, isShared: true },
    isSeen: () => false,
    hasRoomFor: () => true,
  }
  const asked = { bytes: writer.take(), count: 2, isDedupeAsked: false, cutAt: 0, isOwned: false }
  const pieces = new Intake(1_000_000).read(target, asked)
  expect(pieces).toMatchObject([{ kind: 'messages' }, { kind: 'barrier', barrier: { name: 'eof' } }])
  const [, barrier] = pieces as { readonly bytes: Uint8Array }[]
  expect(barrier?.bytes.buffer.byteLength).toBe(barrier?.bytes.byteLength)
})
