import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'

/** Begins every secret, so that people and scanners know one when they see it. */
export const SECRET_PREFIX = 'slc_'
const SECRET_BYTES = 32
const HASH_BYTES = 32
/** Longer ones are nobody's; they are cut, so that a flood of long ones costs what short ones cost. */
const LENGTH_MAX = 256

/** 256 bits of chance, as `slc_` and 43 characters of base64url. */
export function newSecret(): string {
  return SECRET_PREFIX + randomBytes(SECRET_BYTES).toString('base64url')
}

/** SHA-256, which is enough for what has 256 bits of chance: there is nothing to guess, so nothing to make slow. */
export function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}

/** Compared with when there is nothing to compare with. */
const NOBODY: Buffer = Buffer.alloc(HASH_BYTES)

/** Whose secret it is, found by its hash. */
export class Secrets<T> {
  readonly #byStart = new Map<string, { readonly hash: Buffer; readonly owner: T }>()

  add(hash: Buffer, owner: T): void {
    this.#byStart.set(startOf(hash), { hash, owner })
  }

  delete(hash: Buffer): void {
    this.#byStart.delete(startOf(hash))
  }

  /**
   * The same work whatever comes: a hash, a look-up by its first half, a comparison of all of it in constant time. What
   * the look-up's time could tell is about a hash, which nobody can steer.
   */
  find(secret: string): T | undefined {
    const hash = hashOf(secret.slice(0, LENGTH_MAX))
    const found = this.#byStart.get(startOf(hash))
    const isEqual = timingSafeEqual(hash, found?.hash ?? NOBODY)
    return isEqual && secret.length <= LENGTH_MAX ? found?.owner : undefined
  }
}

function startOf(hash: Buffer): string {
  return hash.toString('latin1', 0, HASH_BYTES / 2)
}
