import type { FieldInputs, FieldName, FieldValues } from './fields.ts'

/** Who sends a frame. */
export type End = 'client' | 'server'

export interface FrameLayout {
  /** First byte of the frame; never given to another. */
  readonly type: number
  readonly from: End
  /** In the order in which they are written. */
  readonly fields: Readonly<Record<string, FieldName>>
}

/**
 * Every frame of the protocol, for both ends. A field that does not apply has its neutral value: '' or 0.
 * `docs/protocol.md` tells what each is for and what answers it.
 */
export const FRAMES = {
  /** First frame of a connection. `producer` '' cannot publish, `token` '' has none, `heartbeatMs` 0 takes the server's. */
  hello: {
    type: 1,
    from: 'client',
    fields: { version: 'uint', name: 'text', producer: 'text', token: 'text', heartbeatMs: 'uint' },
  },
  /** Message k has number `number + k`. `flags`: see PUBLISH_FLAGS. */
  publish: {
    type: 2,
    from: 'client',
    fields: { queue: 'text', number: 'uint', answeredUpTo: 'uint', flags: 'uint', count: 'uint', messages: 'bytes' },
  },
  /** `leaseMs` 0: the queue's; `filter` '': none; `afterBatch`: number of the batch the consumer was in, plus 1; 0 none. */
  subscribe: {
    type: 3,
    from: 'client',
    fields: {
      subscription: 'uint',
      queue: 'text',
      prefetch: 'uint',
      concurrency: 'uint',
      leaseMs: 'uint',
      filter: 'text',
      afterBatch: 'uint',
    },
  },
  /** `request` 0: no answer wanted. The filter changes only with `hasFilter`; then '' takes it away. */
  resubscribe: {
    type: 4,
    from: 'client',
    fields: { request: 'uint', subscription: 'uint', prefetch: 'uint', filter: 'text', hasFilter: 'bool' },
  },
  unsubscribe: { type: 5, from: 'client', fields: { subscription: 'uint' } },
  /** `request` 0: no answer wanted. `valueMs`: of a nack the delay plus 1, 0 the queue's; of an extend the lease. */
  settle: {
    type: 6,
    from: 'client',
    fields: {
      request: 'uint',
      subscription: 'uint',
      how: 'how',
      valueMs: 'uint',
      reason: 'text',
      deliveries: 'ranges',
      publish: 'carried',
    },
  },
  request: { type: 7, from: 'client', fields: { id: 'uint', method: 'text', params: 'map' } },
  /** Parts for different queues, kept whole or not at all (P4). `flags` of a part: `dedupe` alone. Since version 2. */
  publishAtomic: { type: 8, from: 'client', fields: { parts: 'parts' } },

  welcome: {
    type: 65,
    from: 'server',
    fields: {
      version: 'uint',
      start: 'uint',
      heartbeatMs: 'uint',
      granted: 'uint',
      messageMax: 'uint',
      frameMessagesMax: 'uint',
      server: 'text',
    },
  },
  /** Message k of the range has sequence number `sequence + k`. */
  confirm: {
    type: 66,
    from: 'server',
    fields: { queue: 'text', number: 'uint', count: 'uint', sequence: 'uint', batch: 'uint', duplicate: 'bool' },
  },
  refused: {
    type: 67,
    from: 'server',
    fields: { queue: 'text', number: 'uint', count: 'uint', code: 'text', detail: 'text', facts: 'value' },
  },
  subscribed: { type: 68, from: 'server', fields: { subscription: 'uint', batch: 'uint', barriersMissed: 'uint' } },
  /** `delivery` is the number of the first message, `origin` nil but for dead letters. */
  deliver: {
    type: 69,
    from: 'server',
    fields: {
      subscription: 'uint',
      delivery: 'uint',
      sequence: 'uint',
      count: 'uint',
      batch: 'uint',
      attempt: 'uint',
      redelivered: 'bool',
      origin: 'value',
      messages: 'bytes',
    },
  },
  barrier: {
    type: 70,
    from: 'server',
    fields: { subscription: 'uint', replayed: 'bool', record: 'map', message: 'bytes' },
  },
  /** `refusal` nil or a map; `published` nil or a list, for what an ack carried. */
  settled: {
    type: 71,
    from: 'server',
    fields: { request: 'uint', results: 'results', refusal: 'value', published: 'value' },
  },
  leaseLost: { type: 72, from: 'server', fields: { subscription: 'uint', first: 'uint', count: 'uint' } },
  cancelled: {
    type: 73,
    from: 'server',
    fields: { subscription: 'uint', code: 'text', detail: 'text', facts: 'value' },
  },
  response: { type: 74, from: 'server', fields: { id: 'uint', refusal: 'value', result: 'value' } },
  /** `granted`: bytes of `messages` the client may have sent on this connection in all; never falls. */
  flow: { type: 75, from: 'server', fields: { granted: 'uint', reason: 'text' } },
  goodbye: { type: 76, from: 'server', fields: { code: 'text', detail: 'text', facts: 'value' } },
} as const

export type FrameName = keyof typeof FRAMES

type Fields<N extends FrameName> = (typeof FRAMES)[N]['fields']

/** Each frame as it is decoded. */
export type Frames = {
  readonly [N in FrameName]: { readonly [F in keyof Fields<N>]: FieldValues[Fields<N>[F] & FieldName] }
}

/** Each frame as it may be given to be encoded. */
export type FrameInputs = {
  readonly [N in FrameName]: { readonly [F in keyof Fields<N>]: FieldInputs[Fields<N>[F] & FieldName] }
}

type From<E extends End> = { [N in FrameName]: (typeof FRAMES)[N]['from'] extends E ? N : never }[FrameName]

/** Names of the frames that one end sends. */
export type ClientFrameName = From<'client'>
export type ServerFrameName = From<'server'>

/** A decoded frame that one end may have sent; `name` tells them apart. */
export type FrameFrom<E extends End> = { [N in From<E>]: { readonly name: N; readonly fields: Frames[N] } }[From<E>]

/** Bits of a publish frame's `flags`; others are refused. */
export const PUBLISH_FLAGS = {
  /** Confirmed as soon as it is taken over, not when it is on disk. */
  accepted: 1,
  /** Kept whole or not at all. */
  atomic: 2,
  /** Asks for dedupe by message id. */
  dedupe: 4,
  /** No answer for what is kept, and no numbers: the frame's are 0. Of at-most-once queues only. Since version 3. */
  unconfirmed: 8,
} as const
