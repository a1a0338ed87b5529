/** Deepest nesting that is decoded; what decodes it calls itself for each level. */
const DEPTH_MAX = 128
const TIMESTAMP = 0xff

/**
 * Looks over MessagePack before a general decoder sees it. Bodies come from whoever may publish, and msgpackr decodes
 * extensions of its own: a large integer in one keeps a process busy for seconds for each megabyte.
 *
 * Taken are nil, booleans, numbers, text, bytes, lists, maps and timestamps, as long as every length is one that the
 * bytes behind it have.
 *
 * @throws TypeError with what it is
 */
export function scanMsgpack(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  /** How many values each open list and map still has. */
  const open: number[] = [1]
  let at = 0
  const size = (width: 1 | 2 | 4): number => {
    if (at + width > bytes.length) throw new TypeError('MessagePack that ends too early')
    const value = width === 1 ? view.getUint8(at) : width === 2 ? view.getUint16(at) : view.getUint32(at)
    at += width
    return value
  }
  const skip = (count: number): void => {
    at += count
    if (at > bytes.length) throw new TypeError('MessagePack that ends too early')
  }
  const enter = (count: number): void => {
    // A value is a byte at least: what cannot be there needs no list to be made for it.
    if (count > bytes.length - at) throw new TypeError('MessagePack that ends too early')
    if (open.length > DEPTH_MAX) throw new TypeError(`MessagePack nested deeper than ${DEPTH_MAX}`)
    open.push(count)
  }
  const extension = (count: number): void => {
    if (size(1) !== TIMESTAMP || (count !== 4 && count !== 8 && count !== 12))
      throw new TypeError('a MessagePack extension other than a timestamp')
    skip(count)
  }
  const value = (tag: number): void => {
    if (tag <= 0x7f || tag >= 0xe0 || tag === 0xc0 || tag === 0xc2 || tag === 0xc3) return
    if (tag <= 0x8f) enter((tag & 0x0f) * 2)
    else if (tag <= 0x9f) enter(tag & 0x0f)
    else if (tag <= 0xbf) skip(tag & 0x1f)
    else tagged(REST[tag - 0xc0])
  }
  const tagged = (rest: (typeof REST)[number]): void => {
    if (rest === undefined) throw new TypeError('bytes that are no MessagePack')
    const [kind, width] = rest
    if (kind === 'fixed') skip(width)
    else if (kind === 'fixext') extension(width)
    else {
      const count = size(width as 1 | 2 | 4)
      if (kind === 'bytes') skip(count)
      else if (kind === 'ext') extension(count)
      else enter(kind === 'map' ? count * 2 : count)
    }
  }
  while (open.length > 0) {
    const last = open.length - 1
    const left = open[last] ?? 0
    if (left === 0) open.pop()
    else {
      open[last] = left - 1
      value(size(1))
    }
  }
  if (at !== bytes.length) throw new TypeError('bytes behind the MessagePack')
}

type Kind = 'fixed' | 'fixext' | 'bytes' | 'ext' | 'list' | 'map'

/** What stands behind the tags from 0xc0 on: so many bytes, or a length of so many bytes. */
const REST: readonly (readonly [kind: Kind, width: number] | undefined)[] = [
  undefined, // 0xc0 nil, taken above
  undefined, // 0xc1 never used
  undefined,
  undefined,
  ['bytes', 1],
  ['bytes', 2],
  ['bytes', 4],
  ['ext', 1],
  ['ext', 2],
  ['ext', 4],
  ['fixed', 4],
  ['fixed', 8],
  ['fixed', 1],
  ['fixed', 2],
  ['fixed', 4],
  ['fixed', 8],
  ['fixed', 1],
  ['fixed', 2],
  ['fixed', 4],
  ['fixed', 8],
  ['fixext', 1],
  ['fixext', 2],
  ['fixext', 4],
  ['fixext', 8],
  ['fixext', 16],
  ['bytes', 1],
  ['bytes', 2],
  ['bytes', 4],
  ['list', 2],
  ['list', 4],
  ['map', 2],
  ['map', 4],
]
