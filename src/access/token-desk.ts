import { type Access, type AccessLog, AccessRefused, type TokenView } from './access.ts'
import { checkGrants, checkName } from './grants.ts'

/** Who wants something of the desk. */
interface Asker {
  /** Absent: nobody is asked who he is here. */
  readonly principal: { readonly name: string; readonly isAdmin: boolean } | undefined
  readonly address: string
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

  /** @param terms `isOpen`: the server asks nobody who he is */
  constructor(terms: { access: Access; log: AccessLog; isOpen: boolean }) {
    this.#access = terms.access
    this.#log = terms.log
    this.#isOpen = terms.isOpen
  }

  list(by: Asker): readonly TokenView[] | TokenRefusal {
    return this.#refusal(by, 'token-list') ?? this.#access.list()
  }

  /** What is given may be anything: it is checked here. @throws the error of the disk; then nothing has changed */
  create(
    by: Asker,
    token: {
      readonly name: unknown
      readonly grants: unknown
      readonly expiresInMs?: number | undefined
      readonly hasSecret?: boolean | undefined
    },
  ): { readonly token: TokenView; readonly secret?: string } | TokenRefusal {
    const refusal = this.#refusal(by, 'token-create')
    if (refusal !== undefined) return refusal
    try {
      const { expiresInMs, hasSecret = true } = token
      const made = this.#access.create({
        name: checkName(token.name),
        grants: checkGrants(token.grants),
        hasSecret,
        ...(expiresInMs === undefined ? {} : { expiresInMs }),
      })
      this.#log.info('token-created', { name: made.token.name, ...told(by) })
      return made
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
