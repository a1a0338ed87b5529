import { type Attempts, attempts } from './attempts.ts'
import { AccessRefused, checkGrants, checkName, checkStoredBytesMax, type Grant, RIGHTS } from './grants.ts'
import { Holder } from './holder.ts'
import { hashOf, newSecret, Secrets } from './secrets.ts'
import { type StoredToken, TokenFile, writeWhole } from './token-file.ts'

export { AccessRefused, type Grant } from './grants.ts'
export type { Holder } from './holder.ts'

/** Last time that an ISO date can say in four digits of year. */
const TIME_MAX = Date.UTC(9999, 11, 31)
/** Most token entries. */
const TOKENS_MAX = 10_000

/** Time as it is given to the access; the engine's clock is one. */
export interface AccessClock {
  /** Milliseconds since the epoch. */
  now(): number
  /** Calls back once at that time or soon after; returns how to call it off. */
  at(time: number, callback: () => void): () => void
}

/** A token entry as it may be shown: everything but the secret, which nobody has. */
export interface TokenView {
  /** Unique among the entries that are there. */
  readonly name: string
  readonly grants: readonly Grant[]
  /** ms since the epoch. */
  readonly createdAt: number
  /** From then on it lets nobody in. The entry stays in the list until it is revoked. */
  readonly expiresAt?: number
  /** What it may have stored at a time, over all queues, in bytes; absent: as much as the queues take. */
  readonly storedBytesMax?: number
  /** False: only a client certificate with this name lets in. */
  readonly hasSecret: boolean
}

export interface NewToken {
  /** 1–255 bytes of UTF-8 without control characters. */
  readonly name: string
  /** 1–100 of them. */
  readonly grants: readonly Grant[]
  /** From now, more than 0. Default: never. */
  readonly expiresInMs?: number
  /** Bytes, 1 to 1024 TiB. Default: none. What was stored by an entry of this name before counts. */
  readonly storedBytesMax?: number
  /** Default true. */
  readonly hasSecret?: boolean
}

/** Somebody who wants to come in. A secret goes before a certificate: who gives both is judged by the secret alone. */
export interface Login {
  readonly secret?: string | undefined
  /** The name (CN) in a client certificate that TLS has verified. */
  readonly certificate?: string | undefined
  /** IP address, without port. */
  readonly address: string
  /** `native`, `http`, …: for the log. */
  readonly via: string
}

/** Why somebody does not come in. `server-busy`: too many have failed from that address, also the right token waits. */
export interface LoginRefused {
  readonly code: 'unauthenticated' | 'server-busy'
  readonly detail: string
  readonly facts?: Readonly<Record<string, number>>
}

export interface AccessLog {
  info(event: string, facts?: Readonly<Record<string, string | number | boolean | undefined>>): void
  warn(event: string, facts?: Readonly<Record<string, string | number | boolean | undefined>>): void
}

export interface AccessOptions {
  /** `tokens.json`; absent: in memory. */
  readonly file?: string
  readonly clock: AccessClock
  readonly log: AccessLog
}

/** Told of a holder whose entry is gone or over: its connections are to be cut now. */
export type Leaving = (holder: Holder, why: 'revoked' | 'expired') => void

/**
 * Who may come in, and what each may do: the token entries of a server.
 *
 * An entry never changes: what somebody may do is changed by revoking the entry and creating it anew. So a `Holder` is
 * one object for the life of its entry, and whoever has it compares by identity.
 */
export class Access {
  readonly #clock: AccessClock
  readonly #log: AccessLog
  readonly #file: TokenFile | undefined
  readonly #holders = new Map<string, Holder>()
  readonly #secrets = new Secrets<Holder>()
  readonly #attempts: Attempts
  readonly #leaving = new Set<Leaving>()
  /** Over, and everybody has been told. */
  readonly #ended = new WeakSet<Holder>()
  #cancelTimer: () => void = () => {}

  /** @throws AccessRefused `bad-tokens-file` for a file that cannot be read as one of ours */
  constructor({ file, clock, log }: AccessOptions) {
    this.#clock = clock
    this.#log = log
    this.#attempts = attempts()
    this.#file = file === undefined ? undefined : new TokenFile(file)
    for (const stored of this.#file?.read() ?? []) this.#add(stored)
    this.#watchExpiry()
  }

  /** How many entries there are, expired ones too. */
  get count(): number {
    return this.#holders.size
  }

  /**
   * Whose secret this is. Absent, wrong, expired, revoked and malformed ones get the same answer after the same work:
   * one hash and one comparison in constant time.
   */
  authenticate(secret: string | undefined): Holder | undefined {
    return this.#current(this.#secrets.find(secret ?? ''))
  }

  /** The entry named by a client certificate that TLS has verified: its CN. Entries with a secret can be named too. */
  byCertificate(name: string): Holder | undefined {
    return this.#current(this.#holders.get(name))
  }

  /**
   * Lets somebody in, or says why not, and logs it. After 10 failures within a minute an address is blocked for 60 s
   * (loopback: after 100); a block looks the same for a right and a wrong secret.
   *
   * @param isInside whether this holder is in already on the same connection: then a block does not matter
   */
  login(login: Login, isInside: (holder: Holder) => boolean = () => false): Holder | LoginRefused {
    const { secret, certificate, address, via } = login
    const holder =
      (secret === undefined || secret === '') && certificate !== undefined
        ? this.byCertificate(certificate)
        : this.authenticate(secret)
    const now = this.#clock.now()
    if (holder !== undefined && isInside(holder)) return holder
    const blockedMs = this.#attempts.blockedFor(address, now)
    if (blockedMs > 0) return blocked(blockedMs)
    if (holder !== undefined) return holder
    this.#log.warn('login-failed', { address, via, certificate })
    const blockMs = this.#attempts.failed(address, now)
    if (blockMs > 0) this.#log.warn('logins-blocked', { address, seconds: Math.ceil(blockMs / 1_000) })
    return NOT_VALID
  }

  /** In the order of their creation. */
  list(): readonly TokenView[] {
    return [...this.#holders.values()].map(({ token }) => viewOf(token))
  }

  /**
   * Makes an entry; once this returns it is on disk.
   *
   * @param secret only for an entry whose secret is known before
   * @returns the secret too, which is shown this once and kept nowhere
   * @throws AccessRefused `invalid-token` (which says what is wrong), `token-exists`, `too-many-tokens`; the error of
   *   the disk, and then nothing has changed
   */
  create(
    { name, grants, expiresInMs, storedBytesMax, hasSecret = true }: NewToken,
    secret: string | undefined = hasSecret ? newSecret() : undefined,
  ): {
    readonly token: TokenView
    readonly secret?: string
  } {
    checkName(name)
    const checked = checkGrants(grants)
    const createdAt = this.#clock.now()
    const expiresAt = expiresInMs === undefined ? undefined : createdAt + expiresInMs
    if (expiresAt !== undefined && !(expiresAt > createdAt && expiresAt <= TIME_MAX)) {
      throw new AccessRefused('invalid-token', 'a token expires in the future, and before the year 10000')
    }
    if (this.#holders.has(name)) {
      throw new AccessRefused('token-exists', `there is a token "${name}" already; revoke it first`)
    }
    if (this.#holders.size >= TOKENS_MAX) {
      throw new AccessRefused('too-many-tokens', `there are ${TOKENS_MAX} tokens, and no more are possible`)
    }
    const stored: StoredToken = {
      name,
      grants: checked,
      createdAt,
      ...(expiresAt === undefined ? {} : { expiresAt }),
      ...(storedBytesMax === undefined ? {} : { storedBytesMax: checkStoredBytesMax(storedBytesMax) }),
      ...(secret === undefined ? {} : { hash: hashOf(secret) }),
    }
    this.#file?.write([...this.#stored(), stored])
    this.#add(stored)
    this.#watchExpiry()
    return { token: viewOf(stored), ...(secret === undefined ? {} : { secret }) }
  }

  /**
   * Makes the first entry, `admin` with all rights, and writes its secret to a file that this user alone can read. The
   * file first: after a crash between the two there is no entry yet, and the next start makes another.
   */
  createAdmin(secretFile: string): void {
    const secret = newSecret()
    writeWhole(secretFile, `${secret}\n`)
    this.create({ name: 'admin', grants: [{ queue: '*', rights: RIGHTS }] }, secret)
  }

  /**
   * Takes an entry away. When this returns it is gone from the disk, and everybody who was in by it has been told.
   *
   * @returns false when there is none of that name. @throws the error of the disk, and then nothing has changed
   */
  revoke(name: string): boolean {
    const holder = this.#holders.get(name)
    if (holder === undefined) return false
    this.#file?.write(this.#stored().filter(stored => stored.name !== name))
    this.#holders.delete(name)
    if (holder.token.hash !== undefined) this.#secrets.delete(holder.token.hash)
    this.#end(holder, 'revoked')
    this.#watchExpiry()
    return true
  }

  /** Called once for each holder, as soon as its entry is revoked or has expired. */
  onRevoked(listener: Leaving): void {
    this.#leaving.add(listener)
  }

  close(): void {
    this.#cancelTimer()
    this.#leaving.clear()
  }

  #stored(): StoredToken[] {
    return [...this.#holders.values()].map(({ token }) => token)
  }

  #add(stored: StoredToken): void {
    const holder = new Holder(stored)
    this.#holders.set(stored.name, holder)
    if (stored.hash !== undefined) this.#secrets.add(stored.hash, holder)
  }

  #current(holder: Holder | undefined): Holder | undefined {
    return holder === undefined || this.#isOver(holder) ? undefined : holder
  }

  #isOver({ token }: Holder): boolean {
    return token.expiresAt !== undefined && token.expiresAt <= this.#clock.now()
  }

  #end(holder: Holder, why: 'revoked' | 'expired'): void {
    if (this.#ended.has(holder)) return
    this.#ended.add(holder)
    for (const listener of this.#leaving) listener(holder, why)
  }

  /** One timer for the entry that expires next. */
  #watchExpiry(): void {
    this.#cancelTimer()
    this.#cancelTimer = () => {}
    let next = Number.POSITIVE_INFINITY
    for (const holder of this.#holders.values()) {
      if (!this.#ended.has(holder)) next = Math.min(next, holder.token.expiresAt ?? next)
    }
    if (next === Number.POSITIVE_INFINITY) return
    this.#cancelTimer = this.#clock.at(next, () => {
      for (const holder of [...this.#holders.values()]) {
        if (!this.#isOver(holder) || this.#ended.has(holder)) continue
        this.#log.info('token-expired', { name: holder.name })
        this.#end(holder, 'expired')
      }
      this.#watchExpiry()
    })
  }
}

const NOT_VALID: LoginRefused = { code: 'unauthenticated', detail: 'a valid token is needed' }

function blocked(ms: number): LoginRefused {
  const seconds = Math.ceil(ms / 1_000)
  const detail = `too many logins have failed from this address; the next is looked at in ${seconds} s`
  return { code: 'server-busy', detail, facts: { retry_after_s: seconds } }
}

function viewOf({ hash, ...token }: StoredToken): TokenView {
  return { ...token, hasSecret: hash !== undefined }
}
