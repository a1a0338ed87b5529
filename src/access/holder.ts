import { matchesGlob } from './glob.ts'
import type { Grant, Right } from './grants.ts'
import type { StoredToken } from './token-file.ts'

/** Queues of which the answers are remembered; beyond it everything is forgotten and remembered anew. */
const REMEMBERED_MAX = 1_000

/** What is allowed: everything, or only messages that match one of the filters. */
export interface Permission {
  readonly filters?: readonly string[]
}

const ALL: Permission = {}

/** Somebody who came in by an entry, and what that allows. One object for the life of its entry. */
export class Holder {
  readonly token: StoredToken
  /** May do everything to every queue, and decide who may come in: `admin` on the queue `*`. */
  readonly isAdmin: boolean
  readonly #remembered = new Map<string, Map<Right, Permission | undefined>>()

  constructor(token: StoredToken) {
    this.token = token
    this.isAdmin = token.grants.some(({ queue, rights }) => queue === '*' && rights.includes('admin'))
  }

  get name(): string {
    return this.token.name
  }

  /** What of its may be stored at a time, in bytes. */
  get storedBytesMax(): number | undefined {
    return this.token.storedBytesMax
  }

  /** @returns undefined: no */
  may(queue: string, right: Right): Permission | undefined {
    let rights = this.#remembered.get(queue)
    if (rights === undefined) {
      rights = permissionsOf(this.token.grants.filter(grant => matchesGlob(grant.queue, queue)))
      if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered.clear()
      this.#remembered.set(queue, rights)
    }
    return rights.get(right)
  }
}

/** A grant without a filter allows all; of several with filters a message has to match one. */
function permissionsOf(grants: readonly Grant[]): Map<Right, Permission> {
  const permissions = new Map<Right, Permission>()
  for (const { rights, filter } of grants) {
    for (const right of rights) {
      const known = permissions.get(right)
      if (filter === undefined || known === ALL) permissions.set(right, ALL)
      else permissions.set(right, { filters: [...(known?.filters ?? []), filter] })
    }
  }
  return permissions
}
