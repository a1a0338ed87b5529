import type { FrameInputs, FrameName } from '@sluice/protocol'

/** One frame of each kind with its bytes, spaced by field. The layout is in frames.ts, the field types in fields.ts. */
export const SAMPLES: { readonly [N in FrameName]: { readonly frame: FrameInputs[N]; readonly hex: string } } = {
  hello: {
    frame: { version: 1, name: 'nightly', producer: 'f'.repeat(32), token: '', heartbeatMs: 20_000 },
    hex: `2f000000 01 01 07 6e696768746c79 20 ${'66'.repeat(32)} 00 a09c01`,
  },
  publish: {
    frame: {
      queue: 'q',
      number: 300,
      answeredUpTo: 299,
      flags: 4,
      count: 2,
      messages: [Uint8Array.of(1, 0, 0, 0, 0x61), Uint8Array.of(0, 0, 0, 0)],
    },
    hex: '13000000 02 01 71 ac02 ab02 04 02 09 01000000 61 00000000',
  },
  subscribe: {
    frame: { subscription: 1, queue: 'q', prefetch: 100, concurrency: 8, leaseMs: 0, filter: '/a = 1', afterBatch: 4 },
    hex: '0f000000 03 01 01 71 64 08 00 06 2f61203d2031 04',
  },
  resubscribe: {
    frame: { request: 9, subscription: 1, prefetch: 0, filter: '', hasFilter: true },
    hex: '06000000 04 09 01 00 00 01',
  },
  unsubscribe: { frame: { subscription: 128 }, hex: '03000000 05 8001' },
  settle: {
    frame: {
      request: 7,
      subscription: 1,
      how: 'ack',
      valueMs: 0,
      reason: '',
      deliveries: [
        { first: 1, count: 100 },
        { first: 200, count: 1 },
      ],
      publish: [{ queue: 'out', count: 1, messages: Uint8Array.of(0, 0, 0, 0) }],
    },
    hex: '17000000 06 07 01 01 00 00 02 01 64 c801 01 01 03 6f7574 01 04 00000000',
  },
  request: {
    frame: { id: 1, method: 'queue', params: { name: 'q', deep: [null, true, -1, 0.5] } },
    hex: '26000000 07 01 05 7175657565 09 02 04 6e616d65 06 01 71 04 64656570 08 04 00 02 04 00 05 000000000000e03f',
  },
  publishAtomic: {
    frame: {
      parts: [
        { queue: 'q', number: 300, answeredUpTo: 299, flags: 4, count: 1, messages: Uint8Array.of(1, 0, 0, 0, 0x61) },
        { queue: 'out', number: 1, answeredUpTo: 0, flags: 0, count: 1, messages: Uint8Array.of(0, 0, 0, 0) },
      ],
    },
    hex: '1d000000 08 02 01 71 ac02 ab02 04 01 05 01000000 61 03 6f7574 01 00 00 01 04 00000000',
  },
  welcome: {
    frame: {
      version: 1,
      start: 12,
      heartbeatMs: 20_000,
      granted: 4_194_304,
      messageMax: 16_777_216,
      frameMessagesMax: 10_000,
      server: 'sluice/0.1.0',
    },
    hex: '1d000000 41 01 0c a09c01 80808002 80808008 904e 0c 736c756963652f302e312e30',
  },
  confirm: {
    frame: { queue: 'q', number: 1, count: 300, sequence: 5, batch: 0, duplicate: false },
    hex: '09000000 42 01 71 01 ac02 05 00 00',
  },
  refused: {
    frame: { queue: 'q', number: 1, count: 1, code: 'queue-full', detail: 'no', facts: { limit: 10 } },
    hex: '1d000000 43 01 71 01 01 0a 71756575652d66756c6c 02 6e6f 09 01 05 6c696d6974 03 0a',
  },
  subscribed: { frame: { subscription: 1, batch: 3, barriersMissed: 0 }, hex: '04000000 44 01 03 00' },
  deliver: {
    frame: {
      subscription: 1,
      delivery: 1,
      sequence: 5,
      count: 1,
      batch: 0,
      attempt: 2,
      redelivered: true,
      origin: null,
      messages: Uint8Array.of(2, 0, 0, 0, 0x68, 0x69),
    },
    hex: '10000000 45 01 01 05 01 00 02 01 00 06 02000000 6869',
  },
  barrier: {
    frame: {
      subscription: 1,
      replayed: false,
      record: { sequence: 9, outcome: 'clean' },
      message: Uint8Array.of(0, 0, 0, 0),
    },
    hex: '24000000 46 01 00 09 02 08 73657175656e6365 03 09 07 6f7574636f6d65 06 05 636c65616e 04 00000000',
  },
  settled: {
    frame: {
      request: 7,
      results: [
        { first: 1, count: 100, result: 'acked' },
        { first: 200, count: 1, result: 'unknown' },
      ],
      refusal: null,
      published: [],
    },
    hex: '0d000000 47 07 02 01 64 01 c801 01 08 00 08 00',
  },
  leaseLost: { frame: { subscription: 1, first: 7, count: 3 }, hex: '04000000 48 01 07 03' },
  cancelled: {
    frame: { subscription: 1, code: 'queue-deleted', detail: 'é', facts: null },
    hex: '14000000 49 01 0d 71756575652d64656c65746564 02 c3a9 00',
  },
  response: { frame: { id: 1, refusal: null, result: {} }, hex: '05000000 4a 01 00 09 00' },
  flow: { frame: { granted: 2 ** 53 - 1, reason: '' }, hex: '0a000000 4b ffffffffffffff0f 00' },
  goodbye: {
    frame: { code: 'too-slow', detail: '', facts: null },
    hex: '0c000000 4c 08 746f6f2d736c6f77 00 00',
  },
}

export function fromHex(hex: string): Uint8Array {
  const digits = hex.replace(/\s/g, '')
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16))
}

export function toHex(bytes: Uint8Array): string {
  return [...bytes].map(byte => byte.toString(16).padStart(2, '0')).join('')
}
