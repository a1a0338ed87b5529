import { closeSync, fstatSync, openSync, readSync } from 'node:fs'

/*
 * What LMDB never does: look at its own pages before it believes them. A damaged or shortened file ends a process with
 * SIGSEGV or SIGBUS, or gives fewer rows than there were. So the file is walked once before it is opened: both trees
 * (rows, and pages that are free), every page by its own number, within its bounds, with its keys in order and as many
 * of everything as the meta page says, no page twice. What rows hold is left to their checksums.
 *
 * The layout is that of LMDB's data version 2 as lmdb-js writes it, little-endian:
 *
 *   page     u64 number · u64 commit · u16 pad · u16 flags · u16 lower · u16 upper (of an overflow page: u32 pages)
 *   meta     page 0 and 1: after the head u32 magic · u32 version · u64 address · u64 size of the map ·
 *            tree of free pages · tree of rows · u64 last page · u64 commit
 *   tree     u32 page size or pad · u16 flags · u16 depth · u64 branch, leaf, overflow pages · u64 entries · u64 root
 *   branch, leaf   after the head u16 offsets of nodes, `lower` bytes; nodes from `upper` to the end, both less the head
 *   node     u16 u16 u16 · u16 length of the key · key · …   of a branch: the first three are a page number; of a leaf:
 *            u32 length of the value, u16 flags; then the value, or where it is: u64 page · u64 commit · u64 pages
 */

const PAGE_BYTES = 4_096
/** Two pages that say where everything is; a file without more holds nothing. */
export const HEADS_BYTES: number = 2 * PAGE_BYTES
const HEAD_BYTES = 24
const NODE_HEAD_BYTES = 8
const ELSEWHERE_BYTES = 24
const MAGIC = 0xbeefc0de
const VERSION = 2
const BRANCH = 1
const LEAF = 2
const OVERFLOW = 4
const META = 8
const KINDS = BRANCH | LEAF | OVERFLOW | META
const IS_ELSEWHERE = 1
const NO_PAGE = 0xffff_ffff_ffff_ffffn
/** Of the trees: rows have no special kind of key, free pages are listed by number of commit. */
const KIND_BITS = 0x7f
const INTEGER_KEYS = 8
/** Deeper than any file can be. */
const DEPTH_MAX = 32

/** What is wrong with a file, as the end of a sentence. */
export class Damage extends Error {}

interface Tree {
  readonly name: string
  readonly depth: number
  readonly branchPages: number
  readonly leafPages: number
  readonly overflowPages: number
  readonly entries: number
  /** Undefined of an empty one. */
  readonly root: number | undefined
  readonly hasIntegerKeys: boolean
}

interface Meta {
  readonly free: Tree
  readonly rows: Tree
  readonly lastPage: number
  readonly commit: number
}

/**
 * Walks the file of a database that nobody has open.
 *
 * @returns false: the file is empty, or nothing was ever committed to it
 * @throws Damage
 */
export function checkPages(path: string): boolean {
  const fd = openSync(path, 'r')
  try {
    return new Check(fd, fstatSync(fd).size).run()
  } finally {
    closeSync(fd)
  }
}

class Check {
  readonly #fd: number
  readonly #size: number
  /** One bit a page: it was met. */
  #met = new Uint8Array(0)
  #lastPage = 1
  #counts = { branch: 0, leaf: 0, overflow: 0, entries: 0 }

  constructor(fd: number, size: number) {
    this.#fd = fd
    this.#size = size
  }

  run(): boolean {
    if (this.#size === 0) return false
    const { free, rows, lastPage, commit } = this.#newestMeta()
    if (commit === 0) return false
    this.#lastPage = lastPage
    this.#met = new Uint8Array((lastPage >> 3) + 1)
    this.#met[0] = 0b11
    this.#tree(rows)
    this.#tree(free)
    return true
  }

  // ── meta pages ─────────────────────────────────────────────────────────────────────────────────────────────────

  #newestMeta(): Meta {
    const [even, odd] = [this.#meta(0), this.#meta(1)] as const
    // Commits take turns. If they do not, a number is wrong, and what seems to be the newest need not be.
    const inTurn = even.commit % 2 === 0 && (odd.commit % 2 === 1 || odd.commit + even.commit === 0)
    if (!inTurn || Math.abs(even.commit - odd.commit) > 1)
      throw new Damage(`its two heads are of commits ${even.commit} and ${odd.commit}, which do not follow one another`)
    const meta = odd.commit > even.commit ? odd : even
    const bytes = (meta.lastPage + 1) * PAGE_BYTES
    if (meta.commit > 0 && bytes > this.#size)
      throw new Damage(`it has ${this.#size} bytes and must have at least ${bytes}: it was cut off`)
    return meta
  }

  #meta(page: number): Meta {
    const bytes = this.#page(page, Buffer.allocUnsafe(PAGE_BYTES))
    if (bytes.readUInt32LE(24) !== MAGIC || (bytes.readUInt16LE(18) & KINDS) !== META)
      throw new Damage('it is no LMDB file')
    if ((bytes.readUInt32LE(28) & 0xffff) !== VERSION)
      throw new Damage(`it has version ${bytes.readUInt32LE(28) & 0xffff} of LMDB's format, not ${VERSION}`)
    if (bytes.readUInt32LE(48) !== PAGE_BYTES)
      throw new Damage(`its pages are said to have ${bytes.readUInt32LE(48)} bytes, not ${PAGE_BYTES}`)
    return {
      free: this.#treeIn(bytes, 48, 'the list of free pages', true),
      rows: this.#treeIn(bytes, 96, 'the rows', false),
      lastPage: number(bytes, 144),
      commit: number(bytes, 152),
    }
  }

  #treeIn(bytes: Buffer, at: number, name: string, hasIntegerKeys: boolean): Tree {
    if ((bytes.readUInt16LE(at + 4) & KIND_BITS) !== (hasIntegerKeys ? INTEGER_KEYS : 0))
      throw new Damage(`${name} are said to be of another kind`)
    return {
      name,
      depth: bytes.readUInt16LE(at + 6),
      branchPages: number(bytes, at + 8),
      leafPages: number(bytes, at + 16),
      overflowPages: number(bytes, at + 24),
      entries: number(bytes, at + 32),
      root: bytes.readBigUInt64LE(at + 40) === NO_PAGE ? undefined : number(bytes, at + 40),
      hasIntegerKeys,
    }
  }

  // ── trees ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #tree(tree: Tree): void {
    const counts = { branch: 0, leaf: 0, overflow: 0, entries: 0 }
    this.#counts = counts
    if (tree.depth > DEPTH_MAX || (tree.root === undefined) !== (tree.depth === 0))
      throw new Damage(`${tree.name} are said to be ${tree.depth} pages deep`)
    if (tree.root !== undefined) this.#walk(tree, tree.root, 1, undefined, undefined)
    const expected = [tree.branchPages, tree.leafPages, tree.overflowPages, tree.entries]
    const found = [counts.branch, counts.leaf, counts.overflow, counts.entries]
    if (found.some((count, k) => count !== expected[k]))
      throw new Damage(
        `${tree.name} are ${found.join(', ')} (branches, leaves, others, entries), not ${expected.join(', ')}`,
      )
  }

  /** Everything under a page: keys from `from` on and before `to`. */
  #walk(tree: Tree, page: number, level: number, from: Buffer | undefined, to: Buffer | undefined): void {
    this.#meet(page, 1)
    const bytes = this.#page(page, Buffer.allocUnsafe(PAGE_BYTES))
    const isLeaf = level === tree.depth
    if ((bytes.readUInt16LE(18) & KINDS) !== (isLeaf ? LEAF : BRANCH))
      throw new Damage(`page ${page} is no ${isLeaf ? 'leaf' : 'branch'}`)
    const nodes = this.#nodes(page, bytes, isLeaf)
    const keys = nodes.map(node => keyOf(bytes, node))
    const compare = tree.hasIntegerKeys ? compareIntegers : Buffer.compare
    // The first key of a branch is left out: it is that of the page.
    for (let k = isLeaf ? 0 : 1; k < keys.length; k += 1) {
      const key = keys[k]!
      if (tree.hasIntegerKeys && key.length !== 8) throw new Damage(`page ${page} has a key of ${key.length} bytes`)
      const before = k > (isLeaf ? 0 : 1) ? keys[k - 1] : from
      const isFirst = k === (isLeaf ? 0 : 1)
      const isInOrder = before === undefined || compare(before, key) < (isFirst ? 1 : 0)
      if (!isInOrder || (to !== undefined && compare(key, to) >= 0))
        throw new Damage(`the keys of page ${page} are not in order`)
    }
    if (isLeaf) {
      this.#counts.leaf += 1
      this.#counts.entries += nodes.length
      for (const node of nodes) this.#value(tree, page, bytes, node)
      return
    }
    this.#counts.branch += 1
    nodes.forEach((node, k) => {
      const child = bytes.readUInt32LE(node) + bytes.readUInt16LE(node + 4) * 2 ** 32
      this.#walk(tree, child, level + 1, k === 0 ? from : keys[k], keys[k + 1] ?? to)
    })
  }

  /** Where the nodes of a page are: they fill what is behind `upper`, without a gap. */
  #nodes(page: number, bytes: Buffer, isLeaf: boolean): readonly number[] {
    const lower = bytes.readUInt16LE(20)
    const upper = bytes.readUInt16LE(22)
    if (lower % 2 !== 0 || lower < 2 || lower > upper || upper > PAGE_BYTES - HEAD_BYTES)
      throw new Damage(`page ${page} is said to be filled up to ${lower} and from ${upper}`)
    const nodes: number[] = []
    let filled = 0
    for (let at = HEAD_BYTES; at < HEAD_BYTES + lower; at += 2) {
      const node = HEAD_BYTES + bytes.readUInt16LE(at)
      const isInside = node >= HEAD_BYTES + upper && node + NODE_HEAD_BYTES <= PAGE_BYTES
      const size = isInside ? sizeOf(bytes, node, isLeaf) : 0
      if (!isInside || node + size > PAGE_BYTES) throw new Damage(`an entry of page ${page} is outside of it`)
      nodes.push(node)
      filled += size
    }
    if (filled !== PAGE_BYTES - HEAD_BYTES - upper)
      throw new Damage(`the entries of page ${page} do not fill their place`)
    return nodes
  }

  #value(tree: Tree, page: number, bytes: Buffer, node: number): void {
    const flags = bytes.readUInt16LE(node + 4)
    const length = bytes.readUInt32LE(node)
    if ((flags & ~IS_ELSEWHERE) !== 0) throw new Damage(`an entry of page ${page} has unknown flags`)
    let value = bytes.subarray(node + NODE_HEAD_BYTES + bytes.readUInt16LE(node + 6))
    if (flags & IS_ELSEWHERE) {
      const first = number(value, 0)
      const pages = number(value, 16)
      if (pages !== Math.floor((HEAD_BYTES - 1 + length) / PAGE_BYTES) + 1)
        throw new Damage(`a value of ${length} bytes is said to have ${pages} pages (page ${page})`)
      this.#meet(first, pages)
      this.#counts.overflow += pages
      const head = this.#page(first, Buffer.allocUnsafe(HEAD_BYTES))
      if ((head.readUInt16LE(18) & KINDS) !== OVERFLOW || head.readUInt32LE(20) !== pages)
        throw new Damage(`page ${first} is not the first of ${pages} with a value`)
      if (!tree.hasIntegerKeys) return
      value = Buffer.allocUnsafe(length)
      this.#read(value, first * PAGE_BYTES + HEAD_BYTES)
    }
    if (tree.hasIntegerKeys) this.#freePages(page, value.subarray(0, length))
  }

  /** A count and as many numbers of pages; one below zero says how many pages there are from the next one on, 0 is nothing. */
  #freePages(page: number, list: Buffer): void {
    const count = list.length >= 8 ? number(list, 0) : -1
    if (count < 0 || (count + 1) * 8 > list.length) throw new Damage(`a list of free pages is cut off (page ${page})`)
    for (let at = 8; at <= count * 8; at += 8) {
      const entry = list.readBigInt64LE(at)
      if (entry > 0n) this.#meet(Number(entry), 1)
      else if (entry < 0n) {
        at += 8
        if (at > count * 8) throw new Damage(`a list of free pages ends too early (page ${page})`)
        this.#meet(number(list, at), Number(-entry))
      }
    }
  }

  // ── pages ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** A page that two things claim would be written by one of them and read by the other. */
  #meet(first: number, count: number): void {
    if (count < 1 || first < 2 || first + count - 1 > this.#lastPage)
      throw new Damage(`page ${first} is spoken of, and there are only ${this.#lastPage + 1}`)
    for (let page = first; page < first + count; page += 1) {
      const bit = 1 << (page & 7)
      if (this.#met[page >> 3]! & bit) throw new Damage(`page ${page} is used twice`)
      this.#met[page >> 3]! |= bit
    }
  }

  /** A page that says its own number. */
  #page(page: number, into: Buffer): Buffer {
    this.#read(into, page * PAGE_BYTES)
    if (number(into, 0) !== page) throw new Damage(`page ${page} says that it is page ${number(into, 0)}`)
    return into
  }

  #read(into: Buffer, at: number): void {
    if (readSync(this.#fd, into, 0, into.length, at) !== into.length)
      throw new Damage(`it has ${this.#size} bytes, and something at ${at} is needed: it was cut off`)
  }
}

/** Bytes of a node with its key and value; odd ones are filled up. */
function sizeOf(bytes: Buffer, node: number, isLeaf: boolean): number {
  const keyBytes = bytes.readUInt16LE(node + 6)
  const isElsewhere = (bytes.readUInt16LE(node + 4) & IS_ELSEWHERE) !== 0
  const valueBytes = isElsewhere ? ELSEWHERE_BYTES : bytes.readUInt32LE(node)
  const size = NODE_HEAD_BYTES + keyBytes + (isLeaf ? valueBytes : 0)
  return size + (size % 2)
}

function keyOf(bytes: Buffer, node: number): Buffer {
  return bytes.subarray(node + NODE_HEAD_BYTES, node + NODE_HEAD_BYTES + bytes.readUInt16LE(node + 6))
}

function compareIntegers(a: Buffer, b: Buffer): number {
  const difference = a.readBigUInt64LE(0) - b.readBigUInt64LE(0)
  return difference < 0n ? -1 : difference > 0n ? 1 : 0
}

/** What is beyond 2^53 is no page and no count: it comes out as a number that fits nothing. */
function number(bytes: Buffer, at: number): number {
  return Number(bytes.readBigUInt64LE(at))
}
