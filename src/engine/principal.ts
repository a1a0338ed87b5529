import type { Refusal } from '../core/refusals.ts'

/** What can be allowed on a queue; none includes another. */
export type Right = 'publish' | 'consume' | 'browse' | 'barrier' | 'admin'

/** What is allowed: all messages, or those that match one of the filters. */
export interface Permission {
  readonly filters?: readonly string[]
}

/** Somebody known by name: what the engine must know of whoever is behind a peer. One object as long as it may be inside. */
export interface Principal {
  readonly name: string
  /** May do everything to every queue that an operator does, and decide who may come in. */
  readonly isAdmin: boolean
  /** What of his may be stored at a time, over all queues, in bytes; absent: as much as the queues take. */
  readonly storedBytesMax?: number | undefined
  /** @returns undefined: no. It must not depend on whether there is such a queue. */
  may(queue: string, right: Right): Permission | undefined
}

/** What listeners ask before they let somebody in. */
export interface Doorkeeper {
  /**
   * @param login `secret` as the client gave it; `certificate`: the name in a client certificate that TLS has verified;
   *   `address` without port; `via`: the protocol, for the log
   * @param isInside whether that principal is in already on the same connection
   */
  login(
    login: {
      readonly secret?: string | undefined
      readonly certificate?: string | undefined
      readonly address: string
      readonly via: string
    },
    isInside?: (principal: Principal) => boolean,
  ): Principal | Refusal
}

/** Something that operators will want to know who did it, and what nobody was allowed to do. Names only, never a body. */
export interface AuditEntry {
  /** `declare`, `purge`, …; of a refusal the right that was missing. */
  readonly act: string
  readonly queue: string
  /** Of the peer: the client's own name, or its address. */
  readonly peer: string
  readonly principal?: string
  /** The barrier, the message, the option: what of the queue it was about. */
  readonly about?: string
  /** Code of the refusal, if it was refused. */
  readonly refused?: string
}
