import type { RefusalCode, Value } from '@sluice/protocol'
import type { Refusal } from '../../engine/peer.ts'

/** A refusal as it goes out: the engine's codes are codes of this wire too (one that is not does not compile), and it has some more. */
export interface WireRefusal {
  readonly code: RefusalCode
  readonly detail: string
  readonly facts?: Refusal['facts']
}

/** WebSocket close codes (RFC 6455, 7.4.1) of what ends a connection; all others are 1008, policy. */
const CLOSE_CODES: { readonly [C in RefusalCode]?: number } = {
  'protocol-error': 1002,
  'unsupported-version': 1002,
  'shutting-down': 1001,
  'server-busy': 1013,
}
const POLICY = 1008

export function closeCode(code: RefusalCode): number {
  return CLOSE_CODES[code] ?? POLICY
}

/** For frames that have the refusal's parts as fields. */
export function refusalFields({ code, detail, facts }: WireRefusal): {
  readonly code: string
  readonly detail: string
  readonly facts: Value
} {
  return { code, detail, facts: facts ?? null }
}

/** For frames that have it as one value. */
export function refusalValue(refusal: WireRefusal | undefined): Value {
  return refusal === undefined ? null : { ...refusalFields(refusal) }
}

export function isRefusal(answer: object): answer is Refusal {
  return 'code' in answer && 'detail' in answer
}
