import { ByteReader, type ByteWriter, readU32 } from './bytes.ts'
import { FIELDS, type FieldType } from './fields.ts'
import { type End, FRAMES, type FrameFrom, type FrameInputs, type FrameLayout, type FrameName } from './frames.ts'
import { ProtocolError } from './protocol-error.ts'

/*
 * A frame: u32 length of what follows | u8 type | fields in the order of the table (frames.ts).
 * A WebSocket message holds one or more whole frames, one after another.
 */

interface Layout {
  readonly name: FrameName
  readonly type: number
  readonly from: End
  readonly fields: readonly { readonly name: string; readonly type: FieldType<unknown, unknown> }[]
}

const LAYOUTS = Object.fromEntries(
  Object.entries(FRAMES satisfies Record<string, FrameLayout>).map(([name, { type, from, fields }]) => {
    const typed = Object.entries(fields).map(field => ({
      name: field[0],
      type: FIELDS[field[1]] as Layout['fields'][0]['type'],
    }))
    return [name, { name, type, from, fields: typed }]
  }),
) as unknown as { readonly [N in FrameName]: Layout }

const BY_TYPE: readonly (Layout | undefined)[] = Object.values(LAYOUTS).reduce<Layout[]>((table, layout) => {
  table[layout.type] = layout
  return table
}, [])

/**
 * Adds a frame to what is written.
 *
 * @throws RangeError when a number cannot be said, ProtocolError when a value is too large; the writer is as it was then.
 */
export function encodeFrame<N extends FrameName>(writer: ByteWriter, name: N, frame: FrameInputs[N]): void {
  const start = writer.placeU32()
  try {
    const layout = LAYOUTS[name]
    writer.u8(layout.type)
    for (const field of layout.fields) field.type.write(writer, (frame as Record<string, unknown>)[field.name])
  } catch (error) {
    writer.rewind(start)
    throw error
  }
  writer.patchU32(start, writer.length - start - 4)
}

/**
 * The frames of one WebSocket message, in order, each decoded when it is asked for. Bytes in them are views of `bytes`.
 *
 * @param from the end that sent them: frames of the other end are refused like unknown ones.
 * @param frameBytesMax largest frame to be taken, in bytes after the length; asked at each frame.
 * @throws ProtocolError naming frame, field and offset
 */
export function* decodeFrames<E extends End>(
  bytes: Uint8Array,
  from: E,
  frameBytesMax?: (name: FrameName) => number,
): Generator<FrameFrom<E>, void, undefined> {
  let position = 0
  while (position < bytes.length) {
    if (bytes.length - position < 5) throw new ProtocolError(`frame ends within its head, at offset ${position}`)
    const length = readU32(bytes, position)
    const end = position + 4 + length
    if (length === 0) throw new ProtocolError(`frame without a type, at offset ${position}`)
    const layout = layoutOf(bytes[position + 4]!, from, position)
    const max = frameBytesMax?.(layout.name) ?? length
    if (length > max) {
      throw new ProtocolError(`${layout.name}: ${length} bytes, at most ${max} are taken now, at offset ${position}`)
    }
    if (end > bytes.length) {
      const there = bytes.length - position - 4
      throw new ProtocolError(`${layout.name}: ${length} bytes announced, ${there} are there, at offset ${position}`)
    }
    yield { name: layout.name, fields: decodeFields(layout, bytes, position + 5, end) } as unknown as FrameFrom<E>
    position = end
  }
}

function layoutOf(type: number, from: End, position: number): Layout {
  const layout = BY_TYPE[type]
  if (layout?.from === from) return layout
  throw new ProtocolError(`frame type ${type} does not come from a ${from}, at offset ${position}`)
}

function decodeFields(layout: Layout, bytes: Uint8Array, start: number, end: number): object {
  const reader = new ByteReader(bytes, start, end)
  const fields: Record<string, unknown> = {}
  for (const field of layout.fields) {
    try {
      fields[field.name] = field.type.read(reader)
    } catch (error) {
      if (error instanceof ProtocolError) throw new ProtocolError(`${layout.name}.${field.name}: ${error.detail}`)
      throw error
    }
  }
  if (reader.remaining > 0) {
    throw new ProtocolError(`${layout.name}: ${reader.remaining} bytes left over, at offset ${reader.position}`)
  }
  return fields
}
