import type { Random } from '../support/random.ts'

/* Bytes and texts that are wrong in some way. */

export function randomBytes(random: Random, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, () => random.below(256))
}

const MEANING = [0, 1, 2, 0x7f, 0x80, 0xfe, 0xff]

/** One that means something, or any, or a little more or less: a length that lies by one. */
function someByte(before: number, random: Random): number {
  const dice = random.below(3)
  if (dice === 0) return random.of(MEANING)
  return dice === 1 ? random.below(256) : (before + random.between(-4, 4)) & 0xff
}

/** Changes, drops, doubles and moves bytes, often to values that mean something: 0, the largest, the bit for "more". */
export function damage(bytes: Uint8Array, random: Random): Uint8Array {
  let damaged = Buffer.from(bytes)
  for (let changes = random.between(1, 4); changes > 0; changes--) {
    const at = random.below(damaged.length + 1)
    const dice = random.below(10)
    if (dice < 5) {
      if (at < damaged.length) damaged[at] = someByte(damaged[at]!, random)
    } else if (dice < 6) {
      damaged = damaged.subarray(0, at)
    } else if (dice < 7) {
      damaged = Buffer.concat([damaged.subarray(0, at), damaged.subarray(at + random.between(1, 8))])
    } else if (dice < 8) {
      damaged = Buffer.concat([
        damaged.subarray(0, at),
        randomBytes(random, random.between(1, 8)),
        damaged.subarray(at),
      ])
    } else if (dice < 9) {
      const from = random.below(damaged.length + 1)
      const piece = damaged.subarray(from, from + random.between(1, 40))
      damaged = Buffer.concat([damaged.subarray(0, at), piece, damaged.subarray(at)])
    } else if (at + 4 <= damaged.length) {
      damaged.writeUInt32LE(random.of([0, 1, damaged.length, damaged.length - at - 4, 2 ** 31, 2 ** 32 - 1]), at)
    }
  }
  return new Uint8Array(damaged)
}

/** The same for text, by characters that mean something in it. */
export function damageText(text: string, random: Random, meaning: readonly string[]): string {
  let damaged = text
  for (let changes = random.between(1, 4); changes > 0; changes--) {
    const at = random.below(damaged.length + 1)
    const dice = random.below(4)
    const rest = dice === 0 ? at + random.between(1, 6) : dice === 1 ? at + 1 : at
    const added = dice === 0 ? '' : dice === 3 ? damaged.slice(at, at + random.between(1, 20)) : random.of(meaning)
    damaged = damaged.slice(0, at) + added + damaged.slice(rest)
  }
  return damaged
}

/** The same bytes in pieces, often of one byte. */
export function split(bytes: Uint8Array, random: Random): Uint8Array[] {
  const pieces: Uint8Array[] = []
  const longest = random.of([1, 3, 16, Math.max(1, bytes.length)])
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + random.between(1, longest))
    pieces.push(bytes.subarray(at, end))
    at = end
    if (random.chance(0.05)) pieces.push(new Uint8Array(0))
  }
  return pieces
}
