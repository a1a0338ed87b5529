import { compileFilter, FilterError } from '../filters/index.ts'

/**
 * What can be allowed on a queue. None of them includes another.
 *
 * - `publish`: put messages in that are no barriers
 * - `barrier`: put barriers in, and know how their batches go
 * - `consume`: take messages out, and settle them
 * - `browse`: look at messages, dead letters and counts
 * - `admin`: declare, change, pause, purge and delete queues; what operators do to messages and barriers
 */
export const RIGHTS = ['publish', 'consume', 'browse', 'barrier', 'admin'] as const
export type Right = (typeof RIGHTS)[number]

/** What an entry allows on the queues whose whole name matches. */
export interface Grant {
  /** `*` stands for any characters, `?` for one, everything else for itself. */
  readonly queue: string
  /** At least one. */
  readonly rights: readonly Right[]
  /** Only messages that match; not with `admin`, which is about queues as a whole. */
  readonly filter?: string
}

const GRANTS_MAX = 100
const NAME_BYTES_MAX = 255
/** 1024 TiB, as of every size. */
const STORED_BYTES_MAX = 2 ** 50

/** A "no" of the access itself. */
export class AccessRefused extends Error {
  readonly code: 'invalid-token' | 'token-exists' | 'too-many-tokens' | 'bad-tokens-file'
  readonly facts: Readonly<Record<string, string | number>>

  constructor(code: AccessRefused['code'], detail: string, facts: AccessRefused['facts'] = {}) {
    super(detail)
    this.name = 'AccessRefused'
    this.code = code
    this.facts = facts
  }
}

/** @throws AccessRefused `invalid-token` */
export function checkName(name: unknown): string {
  return checkText(name, 'the name of a token')
}

/** What a token may have stored, in bytes: 1 to 1024 TiB. @throws AccessRefused `invalid-token` */
export function checkStoredBytesMax(bytes: unknown): number {
  if (Number.isSafeInteger(bytes) && (bytes as number) >= 1 && (bytes as number) <= STORED_BYTES_MAX)
    return bytes as number
  throw invalid('the stored_bytes_max of a token is a whole number of bytes, from 1 to 1024 TiB')
}

/** Checks what comes from outside, and copies what of it is meant. @throws AccessRefused `invalid-token` */
export function checkGrants(grants: unknown): readonly Grant[] {
  if (!Array.isArray(grants) || grants.length < 1 || grants.length > GRANTS_MAX) {
    throw invalid(`a token has from 1 to ${GRANTS_MAX} grants: without one it would allow nothing`)
  }
  return grants.map(checkGrant)
}

function checkGrant(grant: unknown): Grant {
  if (typeof grant !== 'object' || grant === null) throw invalid('a grant is an object with queue and rights')
  const { queue, rights, filter, ...others } = grant as Record<string, unknown>
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) throw invalid(`a grant has no "${unknown}"; it has queue, rights and filter`)
  const pattern = checkText(queue, 'the queue of a grant')
  if (!Array.isArray(rights) || rights.length === 0)
    throw invalid(`a grant allows at least one of ${RIGHTS.join(', ')}`)
  const wrong = rights.find(right => !RIGHTS.includes(right as Right))
  if (wrong !== undefined) throw invalid(`there is no right "${String(wrong)}"; there are ${RIGHTS.join(', ')}`)
  const allowed = RIGHTS.filter(right => rights.includes(right))
  if (filter === undefined) return { queue: pattern, rights: allowed }
  if (typeof filter !== 'string' || filter === '') throw invalid('the filter of a grant is an expression')
  if (allowed.includes('admin'))
    throw invalid('admin is about whole queues and has no filter; give it a grant of its own')
  try {
    compileFilter(filter, { isStrict: true })
  } catch (error) {
    if (!(error instanceof FilterError)) throw error
    throw new AccessRefused('invalid-token', `filter: ${error.message}`, { column: error.column })
  }
  return { queue: pattern, rights: allowed, filter }
}

function checkText(text: unknown, what: string): string {
  if (typeof text !== 'string' || text === '') throw invalid(`${what} is a text that is not empty`)
  const bytes = new TextEncoder().encode(text).length
  if (bytes > NAME_BYTES_MAX) throw invalid(`${what} has ${bytes} bytes, at most ${NAME_BYTES_MAX} are allowed`)
  if (/\p{Cc}/u.test(text)) throw invalid(`${what} has no control characters`)
  return text
}

function invalid(detail: string): AccessRefused {
  return new AccessRefused('invalid-token', detail)
}
