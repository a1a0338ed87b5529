/** `bytes`: a body is opaque. `json`: an object that the client library, or the adapter, writes and parses. */
export type Codec = 'bytes' | 'json'
export type Body = unknown

/** Bodies of one size that carry the number of their message. */
export interface Bodies {
  /** Bodies of one who publishes; may write each over the last, so one at a time is in use. */
  writer(): (number: number) => Body
  /** @returns the number in a body; −1 when it is not as it was published */
  read(body: Body): number
}

/** The smallest body there is room for, in bytes. */
export const BODY_BYTES_MIN = 40

export function bodiesOf(codec: Codec, size: number): Bodies {
  return codec === 'bytes' ? bytesBodies(size) : jsonBodies(size)
}

/** The number stands at both ends, so that a body cut or taken from the wrong place is found. */
function bytesBodies(size: number): Bodies {
  const end = size - 4
  return {
    writer() {
      const body = Buffer.alloc(size, 'x')
      return number => {
        body.writeUInt32LE(number, 0)
        body.writeUInt32LE(number, end)
        return body
      }
    },
    read(body) {
      if (!(body instanceof Uint8Array) || body.length !== size) return -1
      const number = readUInt32LE(body, 0)
      return number === readUInt32LE(body, end) ? number : -1
    },
  }
}

/** Without a view of its own: this runs for every message. */
function readUInt32LE(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
}

/** Numbers begin here, so that all have the same digits and all bodies the same size. */
const JSON_NUMBER_BASE = 1_000_000_000

interface JsonBody {
  readonly number: number
  readonly text: string
}

function jsonBodies(size: number): Bodies {
  const text = 'x'.repeat(size - JSON.stringify({ number: JSON_NUMBER_BASE, text: '' }).length)
  return {
    writer: () => number => ({ number: JSON_NUMBER_BASE + number, text }) satisfies JsonBody,
    read(body) {
      const { number, text: read } = body as JsonBody
      return read === text ? number - JSON_NUMBER_BASE : -1
    },
  }
}
