import type { RefusalCode } from './refusals.ts'

/**
 * What came over the wire cannot be understood. The only thing that decoding throws; anything else is a bug of ours.
 * `protocol-error` ends the connection, `invalid-message` and `message-too-large` refuse that message alone.
 */
export class ProtocolError extends Error {
  readonly code: RefusalCode
  /** A sentence for people: frame, field and offset, as far as they are known. */
  readonly detail: string

  constructor(detail: string, code: RefusalCode = 'protocol-error') {
    super(`${code}: ${detail}`)
    this.name = 'ProtocolError'
    this.code = code
    this.detail = detail
  }
}
