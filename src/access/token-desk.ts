import { type Access, type AccessLog, AccessRefused, type TokenView } from './access.ts'
import { checkGrants, checkName } from './grants.ts'

/** Who wants something of the desk. */
interface Asker {
  /** Absent: nobody is asked who he is here. */
  readonly principal: { readonly name: string; readonly isAdmin: boolean } | undefined
  readonly address: string
}

/** A token as it may be shown, and what of its is stored. */
export interface ShownToken extends TokenView {
  /** Bytes that count for a quota: of what was published while it had one. */
  readonly storedBytes: number
}

export interface TokenRefusal {
  readonly code: 'not-allowed' | 'invalid-token' | 'token-exists' | 'too-many-tokens' | 'no-such-token'
  readonly detail: string
  readonly facts?: Readonly<Record<string, string | number>>
}

/**
 * Where tokens are made and taken away, for those who may: holders of `admin` on the queue `*`, and everybody on a
 * server that asks nobody who he is.
 */
export class TokenDesk {
  readonly #access: Access
  readonly #log: AccessLog
  readonly #isOpen: boolean
  readonly #storedBytesOf: (name: string) => number

  /** @param terms `isOpen`: the server asks nobody who he is; `storedBytesOf`: what of a token is stored, by its name */
  constructor(terms: {
    access: Access
    log: AccessLog
    isOpen: boolean
    storedBytesOf: (name: string) => number
  }) {
    this.#access = terms.access
    this.#log = terms.log
    this.#isOpen = terms.isOpen
    this.#storedBytesOf = terms.storedBytesOf
  }

  list(by: Asker): readonly ShownToken[] | TokenRefusal {
    return this.#refusal(by, 'token-list') ?? this.#access.list().map(token => this.#shown(token))
  }

  /** Of the token that is nearest to its `stored_bytes_max`, or above it: what is stored, by what may be. 0: none has a quota. */
  get fullestQuota(): number {
    let fullest = 0
    for (const { name, storedBytesMax } of this.#access.list())
      if (storedBytesMax !== undefined) fullest = Math.max(fullest, this.#storedBytesOf(name) / storedBytesMax)
    return fullest
  }

  #shown(token: TokenView): ShownToken {
    return { ...token, storedBytes: this.#storedBytesOf(token.name) }
  }

  /** What is given may be anything: it is checked here. @throws the error of the disk; then nothing has changed */
  create(
    by: Asker,
    token: {
      readonly name: unknown
      readonly grants: unknown
      readonly expiresInMs?: number | undefined
      readonly storedBytesMax?: number | undefined
      readonly hasSecret?: boolean | undefined
    },
  ): { readonly token: ShownToken; readonly secret?: string } | TokenRefusal {
    const refusal = this.#refusal(by, 'token-create')
    if (refusal !== undefined) return refusal
    try {
      const { expiresInMs, storedBytesMax, hasSecret = true } = token
      const made = this.#access.create({
        name: checkName(token.name),
        grants: checkGrants(token.grants),
        hasSecret,
        ...(expiresInMs === undefined ? {} : { expiresInMs }),
        ...(storedBytesMax === undefined ? {} : { storedBytesMax }),
      })
      this.#log.info('token-created', { name: made.token.name, ...told(by) })
      return { ...made, token: this.#shown(made.token) }
    } catch (error) {
      if (!(error instanceof AccessRefused) || error.code === 'bad-tokens-file') throw error
      return { code: error.code, detail: error.message, facts: error.facts }
    }
  }

  /** @throws the error of the disk; then nothing has changed */
  revoke(by: Asker, name: string): 'revoked' | TokenRefusal {
    const refusal = this.#refusal(by, 'token-revoke')
    if (refusal !== undefined) return refusal
    if (!this.#access.revoke(name)) return { code: 'no-such-token', detail: `there is no token "${name}"` }
    this.#log.info('token-revoked', { name, ...told(by) })
    return 'revoked'
  }

  #refusal(by: Asker, act: string): TokenRefusal | undefined {
    if (by.principal === undefined ? this.#isOpen : by.principal.isAdmin) return undefined
    this.#log.warn('not-allowed', { act, ...told(by) })
    return { code: 'not-allowed', detail: 'this token may not look after tokens; that takes admin on the queue *' }
  }
}

function told({ principal, address }: Asker): Readonly<Record<string, string | undefined>> {
  return { principal: principal?.name, address }
}
