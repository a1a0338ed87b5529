import { sliceBytes } from './bytes.ts'

/** Tells from the bytes of a body, unparsed, that it lacks a key that the expression needs. */
export class RuleOut {
  readonly #keys: readonly { readonly quoted: string; readonly rare: string }[]

  /** @param keys byte strings; the body must have all of them */
  constructor(keys: Iterable<string>) {
    // Longer names are rarer, so they rule out more at the first try.
    const sorted = [...keys].sort((a, b) => b.length - a.length)
    this.#keys = sorted.map(key => ({ quoted: `"${key}"`, rare: fromRarestOn(`${key}"`) }))
  }

  /** True when `bytes` in `[start, end)` cannot be JSON with all the keys; false says nothing. */
  isRuledOut(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#keys.length === 0) return false
    // Copying the body into a string costs less than any search of the bytes in JavaScript: native search is faster.
    const body = sliceBytes(bytes, start, end)
    for (const { quoted, rare } of this.#keys) {
      // With a backslash the key may be there in another spelling: "is\u005feof".
      if (!body.includes(rare) || !body.includes(quoted)) return !body.includes('\\')
    }
    return false
  }
}

/** The characters of JSON texts, roughly from frequent to rare; those not listed are rarer. */
const FREQUENT = '"etaoinsrhld0123456789cumfpgwybvk_-.'

/**
 * The end of `text` from its rarest character on. The search stops wherever its first character stands, and
 * the quote with which a key begins stands everywhere in JSON.
 */
function fromRarestOn(text: string): string {
  let best = 0
  for (let index = 1; index < text.length - 1; index++) {
    if (rarity(text[index]!) > rarity(text[best]!)) best = index
  }
  return text.slice(best)
}

function rarity(character: string): number {
  const rank = FREQUENT.indexOf(character)
  return rank < 0 ? FREQUENT.length : rank
}
