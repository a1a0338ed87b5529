/* Inputs made by hand: what broke other decoders, and what broke ours. */

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'))

/** A frame of 64 KiB that repeats the dearest thing a byte or two can say. */
function dearest(unit: string): Uint8Array {
  const all = Buffer.alloc(64 * 1024 - 4)
  const piece = Buffer.from(bytes(unit))
  for (let at = 16; at + piece.length < all.length; at += piece.length) piece.copy(all, at)
  all.writeUInt32LE(all.length - 4, 0)
  bytes('07 01 01 61 08 80 20').forEach((byte, index) => {
    all[4 + index] = byte
  })
  return new Uint8Array(all)
}

export const FRAME_INPUTS: Readonly<Record<string, Uint8Array>> = {
  'nothing at all': new Uint8Array(0),
  'a head alone': bytes('00000000'),
  'a length of 4 GiB': bytes('ffffffff 07'),
  'a length of -1 as signed': bytes('ffffffff ffffffff'),
  'a type of 0': bytes('01000000 00'),
  'a type of 255': bytes('01000000 ff'),
  'a text of 2^53 bytes': bytes('0a000000 05 ffffffffffffff0f 00'),
  'a number of ten bytes': bytes('0b000000 05 80808080808080808001'),
  'a number in a longer form': bytes('03000000 05 8000'),
  'a list of 4 thousand million entries': bytes('0a000000 07 01 01 61 08 ffffffff0f'),
  'a map with 100,000 keys that are not there': bytes('09000000 07 01 01 61 09 a08d06'),
  'a key twice': bytes('0b000000 07 01 01 61 09 02 0161 00 0161'),
  '__proto__ as a key': bytes('12000000 07 01 01 61 09 01 09 5f5f70726f746f5f5f 09 00'),
  'nested nine deep': bytes('14000000 07 01 01 61 09 01 0161 0801 0801 0801 0801 0801 0801 00'),
  'UTF-8 of a surrogate': bytes('06000000 05 03 eda080'),
  'overlong UTF-8': bytes('08000000 07 01 02 c080 09 00'),
  'a NaN with a payload': bytes('11000000 07 01 01 61 09 01 0161 05 010000000000f87f'),
  'lists in lists, 64 KiB of them': dearest('0801'),
  'empty maps, 64 KiB of them': dearest('0900'),
  'maps of one key, 64 KiB of them': dearest('0901016100'),
  'texts of one byte that is no UTF-8, 64 KiB of them': dearest('0601ff'),
}

export const RECORD_INPUTS: Readonly<Record<string, Uint8Array>> = {
  'nothing at all': new Uint8Array(0),
  'a body of 512 MiB': bytes('ffffff1f'),
  'both unknown bits': bytes('000000c0'),
  'properties of 4 GiB': bytes('00000020 ffffffff'),
  'properties that end in the body': bytes('02000020 02000000 09 01 6869'),
  'a barrier that ends beyond its block': bytes('00000020 05000000 0a ff000000'),
  'a tag twice': bytes('00000020 06000000 030161 030162'),
  'tags that fall': bytes('00000020 06000000 040161 030162'),
  'a header named __proto__': bytes('00000020 0e000000 0201 09 5f5f70726f746f5f5f 0600'),
  '64 KiB of empty messages': new Uint8Array(64 * 1024),
}
