import type { Body, Codec } from '../bodies.ts'

/** Bodies for client libraries that take bytes only. */
export interface Payload {
  encode(body: Body): Buffer
  decode(bytes: Uint8Array): Body
}

export function payloadOf(codec: Codec): Payload {
  if (codec === 'bytes') return { encode: body => body as Buffer, decode: bytes => bytes }
  return {
    encode: body => Buffer.from(JSON.stringify(body)),
    decode: bytes => JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()) as Body,
  }
}
