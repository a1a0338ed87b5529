import { BOOLEAN, DURATION, INTEGER, listOf, NUMBER, object, oneOf, ref, type Schema, TEXT, TIME } from './schema.ts'

/*
 * What the answers and requests of HTTP look like, by name. A test holds them against what a server answers.
 */

const NONE_OR = (schema: Schema): Schema => ({ anyOf: [{ const: 'none' }, schema] })
const SIZE: Schema = { type: ['string', 'integer'], examples: ['64MiB'] }
const REST: Schema = oneOf('carry', 'dead-letter', 'drop')
const OUTCOME: Schema = oneOf('clean', 'with-dead', 'expired', 'cancelled', 'failed')

/** A message: what its publisher gave it. One of the bodies is there, unless bodies were not asked for. */
const MESSAGE: Readonly<Record<string, Schema>> = {
  body: { ...TEXT, description: 'When the bytes are UTF-8 and the content type is absent or says text' },
  body_base64: { ...TEXT, contentEncoding: 'base64' },
  content_type: TEXT,
  headers: {
    type: 'object',
    additionalProperties: { anyOf: [TEXT, NUMBER, BOOLEAN, object({ base64: TEXT })] },
  },
  message_id: TEXT,
  correlation_id: TEXT,
  reply_to: TEXT,
  priority: NUMBER,
  ttl: DURATION,
  delay: DURATION,
  group: TEXT,
  barrier: ref('BarrierProperties'),
}

const RECORD: Readonly<Record<string, Schema>> = {
  name: TEXT,
  outcome: OUTCOME,
  stats: ref('BatchStats'),
  released_at: TIME,
  batches: listOf(
    object({ queue: TEXT, outcome: OUTCOME }, { batch: INTEGER, sequence: INTEGER, stats: ref('BatchStats') }),
  ),
  parties: ref('Parties'),
}

const OPTIONS: Readonly<Record<string, Schema>> = {
  semantics: oneOf('at-least-once', 'at-most-once'),
  barriers_max: INTEGER,
  barrier_records: INTEGER,
  on_dead: oneOf('count', 'hold', 'fail'),
  deadline_rest: REST,
  forward_barrier: listOf(TEXT),
  lease: NONE_OR(DURATION),
  acks: oneOf('holder', 'any'),
  prefetch_max: INTEGER,
  prefetch_bytes: SIZE,
  unacked_max: NONE_OR(INTEGER),
  fairness: oneOf('proportional', 'round-robin', 'fast'),
  deliveries_max: NONE_OR(INTEGER),
  retry_delay: { anyOf: [DURATION, object({ base: DURATION }, { factor: NUMBER, max: DURATION, jitter: BOOLEAN })] },
  expiration: NONE_OR(DURATION),
  messages_max: NONE_OR(INTEGER),
  bytes_max: NONE_OR(SIZE),
  overflow: oneOf('refuse', 'drop-oldest', 'dead-letter-oldest'),
  dedupe_window: DURATION,
  dedupe_max: INTEGER,
}

const SOME_OPTIONS: Readonly<Record<string, Schema>> = {
  barrier: TEXT,
  filter: TEXT,
  priority: TEXT,
  group: TEXT,
  dead_letter: TEXT,
  announce: TEXT,
}

export const SCHEMAS: Readonly<Record<string, Schema>> = {
  Problem: {
    ...object(
      { title: TEXT, status: INTEGER, code: TEXT, detail: TEXT },
      { parameter: TEXT, header: TEXT, field: TEXT, line: INTEGER, column: INTEGER, differs: listOf(TEXT) },
    ),
    description: 'RFC 9457. `code` is the name of the refusal; what helps stands beside it: `limit`, `queue`, …',
    additionalProperties: true,
  },
  QueueOptions: object({}, { ...OPTIONS, ...SOME_OPTIONS }),
  Queue: object(
    { name: TEXT, options: object(OPTIONS, SOME_OPTIONS), paused: BOOLEAN, subscriptions: INTEGER, batch: INTEGER },
    {
      ready: INTEGER,
      leased: INTEGER,
      delayed: INTEGER,
      bytes: INTEGER,
      barriers_waiting: INTEGER,
      open: ref('Progress'),
      published_total: INTEGER,
      acked_total: INTEGER,
    },
  ),
  Progress: object(
    { published: INTEGER, acked: INTEGER, leased: INTEGER, ready: INTEGER, delayed: INTEGER, dead: INTEGER },
    { rate_per_second: NUMBER, eta_ms: INTEGER },
  ),
  BatchStats: object(
    { published: INTEGER, acked: INTEGER, dead: INTEGER, expired: INTEGER, dropped: INTEGER, carried: INTEGER },
    { first_published_at: TIME, last_settled_at: TIME },
  ),
  Receipt: object(
    {
      receipt: { const: 1 },
      queue: TEXT,
      sequence: INTEGER,
      batch: INTEGER,
      last_sequence: INTEGER,
      outcome: OUTCOME,
      counts: ref('ReceiptCounts'),
      published_at: TIME,
      released_at: TIME,
      body_sha256: TEXT,
    },
    {
      name: TEXT,
      first_sequence: INTEGER,
      first_published_at: TIME,
      last_settled_at: TIME,
      parties: object({ count: INTEGER, arrived: listOf(object({ party: TEXT, body_sha256: TEXT })) }),
      batches: listOf(
        object({ queue: TEXT, outcome: OUTCOME }, { batch: INTEGER, sequence: INTEGER, counts: ref('ReceiptCounts') }),
      ),
    },
  ),
  ReceiptCounts: object({
    published: INTEGER,
    acked: INTEGER,
    dead: INTEGER,
    expired: INTEGER,
    dropped: INTEGER,
    carried: INTEGER,
  }),
  Parties: object(
    { count: INTEGER, missing: INTEGER, arrived: listOf(TEXT) },
    { messages: listOf(object({ party: TEXT }, MESSAGE)) },
  ),
  BarrierProperties: object(
    {},
    { name: TEXT, deadline: DURATION, rest: REST, parties: INTEGER, party: TEXT, forward: listOf(TEXT) },
  ),
  Barrier: object(
    { state: oneOf('gathering', 'waiting', 'released'), sequence: INTEGER, batch: INTEGER },
    { published_at: TIME, deadline_at: TIME, progress: ref('Progress'), ...RECORD, ...MESSAGE },
  ),
  Message: object({}, MESSAGE),
  CarriedMessage: object({ queue: TEXT }, MESSAGE),
  StoredMessage: object(
    {
      sequence: INTEGER,
      batch: INTEGER,
      state: oneOf('ready', 'leased', 'delayed'),
      attempts: INTEGER,
      redelivered: BOOLEAN,
      published_at: TIME,
    },
    {
      due_at: TIME,
      expires_at: TIME,
      holder: TEXT,
      lease_age_ms: INTEGER,
      origin: ref('Origin'),
      body_bytes: INTEGER,
      ...MESSAGE,
    },
  ),
  Origin: object(
    {
      queue: TEXT,
      sequence: INTEGER,
      batch: INTEGER,
      attempts: INTEGER,
      published_at: TIME,
      dead_at: TIME,
      reason: TEXT,
    },
    { detail: TEXT },
  ),
  MessagePage: object({ messages: listOf(ref('StoredMessage')) }, { next: INTEGER }),
  Delivery: object(
    { kind: oneOf('message', 'barrier'), sequence: INTEGER, batch: INTEGER },
    {
      attempt: INTEGER,
      redelivered: BOOLEAN,
      lease_token: TEXT,
      origin: ref('Origin'),
      replayed: BOOLEAN,
      published_at: TIME,
      ...RECORD,
      ...MESSAGE,
    },
  ),
  LeasedDelivery: object({ sequence: INTEGER, lease_token: TEXT }),
  SettleResult: object({
    sequence: INTEGER,
    result: oneOf('acked', 'nacked', 'released', 'rejected', 'extended', 'already-settled', 'lease-lost', 'unknown'),
  }),
  Holdout: object(
    {
      sequence: INTEGER,
      state: oneOf('ready', 'leased', 'delayed', 'dead'),
      reason: oneOf(
        'ready',
        'leased',
        'retrying',
        'delayed',
        'no-subscription-matches',
        'no-credit',
        'paused',
        'dead-letter',
      ),
      attempt: INTEGER,
    },
    { holder: TEXT, lease_age_ms: INTEGER, dead_letter: object({ queue: TEXT, sequence: INTEGER }) },
  ),
  Published: object({ sequence: INTEGER, duplicate: BOOLEAN }),
  PublishedLines: object(
    { count: INTEGER, first_sequence: { type: ['integer', 'null'] }, last_sequence: { type: ['integer', 'null'] } },
    { duplicates: INTEGER },
  ),
  Connection: object(
    {
      id: INTEGER,
      name: TEXT,
      protocol: oneOf('native', 'http', 'webhook', 'unknown'),
      since: TIME,
      subscriptions: INTEGER,
      pulls: INTEGER,
      credit_used: INTEGER,
      buffered_bytes: INTEGER,
    },
    { address: TEXT, principal: TEXT },
  ),
  Grant: object(
    { queue: TEXT, rights: listOf(oneOf('publish', 'consume', 'browse', 'barrier', 'admin')) },
    { filter: TEXT },
  ),
  Token: object(
    { name: TEXT, grants: listOf(ref('Grant')), created_at: TIME, has_secret: BOOLEAN },
    { expires_at: TIME, stored_bytes_max: INTEGER, stored_bytes: INTEGER, secret: TEXT },
  ),
  Server: object(
    {
      name: TEXT,
      version: TEXT,
      protocol_version: INTEGER,
      start: INTEGER,
      limits: { type: 'object', additionalProperties: INTEGER },
      publishing: { anyOf: [{ const: 'open' }, object({ stopped: TEXT })] },
    },
    {
      started_at: TIME,
      uptime_ms: INTEGER,
      memory: object({
        resident_bytes: INTEGER,
        heap_used_bytes: INTEGER,
        external_bytes: INTEGER,
        bodies_bytes: INTEGER,
      }),
      disk: object({ free_bytes: INTEGER, size_bytes: INTEGER, data_bytes: INTEGER }),
      commits: object({
        count: INTEGER,
        failed: INTEGER,
        mean_ms: NUMBER,
        last_ms: NUMBER,
        oldest_pending_ms: INTEGER,
      }),
    },
  ),
}
