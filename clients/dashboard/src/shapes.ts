/* What the server sends, as far as it is shown. Whatever stands in it is text, and only ever shown as text. */

export type Right = 'publish' | 'consume' | 'browse' | 'barrier' | 'admin'

export interface Progress {
  readonly published: number
  readonly acked: number
  readonly leased: number
  readonly ready: number
  readonly delayed: number
  readonly dead: number
  readonly rate_per_second?: number
  readonly eta_ms?: number
}

export interface Holdout {
  readonly sequence: number
  readonly state: string
  readonly reason: string
  readonly attempt: number
  readonly holder?: string
  readonly leased_at?: string
  readonly dead_letter?: { readonly queue: string; readonly sequence: number }
}

export interface OpenBatch {
  readonly queue: string
  readonly paused: boolean
  readonly rights: readonly Right[]
  readonly subscriptions: number
  readonly state: 'waiting' | 'gathering' | 'open'
  readonly is_head: boolean
  readonly name?: string
  readonly sequence?: number
  readonly batch: number
  readonly published_at?: string
  readonly first_published_at?: string
  readonly deadline_at?: string
  readonly parties?: { readonly count: number; readonly arrived: number }
  readonly forward: readonly string[]
  readonly progress: Progress
  readonly behind: number
  readonly holdouts?: readonly Holdout[]
}

export interface Stats {
  readonly published: number
  readonly acked: number
  readonly dead: number
  readonly expired: number
  readonly dropped: number
  readonly carried: number
  readonly first_published_at?: string
  readonly last_settled_at?: string
}

export interface Released {
  readonly queue: string
  readonly name?: string
  readonly sequence: number
  readonly batch: number
  readonly outcome: string
  readonly stats: Stats
  readonly published_at: string
  readonly released_at: string
  readonly batches?: readonly { readonly queue: string; readonly sequence?: number; readonly outcome: string }[]
}

export interface Totals {
  readonly queues: number
  readonly paused: number
  readonly live: number
  readonly leased: number
  readonly dead: number
  readonly subscriptions: number
  readonly barriers_waiting: number
  readonly published: number
  readonly acked: number
}

export interface QueueRow {
  readonly name: string
  readonly paused: boolean
  readonly rights: readonly Right[]
  readonly ready?: number
  readonly leased?: number
  readonly delayed?: number
  readonly bytes?: number
  readonly subscriptions?: number
  readonly barriers_waiting?: number
  readonly published_total?: number
  readonly acked_total?: number
  readonly dead?: number
}

export interface Consumer {
  readonly name: string
  readonly prefetch: number
  readonly used: number
  readonly leased_at?: string
  readonly filter?: string
  readonly is_pull: boolean
  readonly is_stalled: boolean
}

export interface Lane {
  readonly queue: string
  readonly released: readonly Released[]
  readonly open: readonly OpenBatch[]
}

interface Page<T> {
  readonly page: number
  readonly pages: number
  readonly total: number
  readonly items: readonly T[]
}

export interface Client {
  readonly id: number
  readonly name: string
  readonly protocol: string
  readonly since: string
  readonly principal?: string
  readonly subscriptions: readonly { readonly queue: string; readonly prefetch: number; readonly used: number }[]
}

export interface Barrier {
  readonly state: 'waiting' | 'gathering' | 'released'
  readonly name?: string
  readonly sequence: number
  readonly batch: number
  readonly published_at: string
  readonly deadline_at?: string
  readonly released_at?: string
  readonly outcome?: string
  readonly progress?: Progress
  readonly stats?: Stats
  readonly parties?: { readonly count: number; readonly missing: number; readonly arrived: readonly string[] }
  readonly batches?: readonly { readonly queue: string; readonly outcome: string; readonly stats?: Stats }[]
  readonly body?: string
  readonly body_base64?: string
}

export interface BatchPart {
  readonly queue: string
  readonly rights: readonly Right[]
  readonly paused: boolean
  readonly subscriptions?: number
  readonly behind: number
  readonly is_head: boolean
  readonly forward: readonly string[]
  readonly barrier: Barrier
  readonly holdouts: readonly Holdout[]
}

export interface QueuePart {
  readonly queue: QueueRow & { readonly options: Readonly<Record<string, unknown>>; readonly batch: number }
  readonly consumers: readonly Consumer[]
  readonly lane: Lane
}

export interface ServerPart {
  readonly server: {
    readonly version: string
    readonly start: number
    readonly ready: boolean
    readonly limits: { readonly message_max: number; readonly frame_messages_max: number }
  }
  readonly totals: Totals
}

/** By the name of the view that is asked for. */
export interface Views {
  readonly batches: Page<OpenBatch> & { readonly totals: Totals; readonly released: readonly Released[] }
  readonly batch: BatchPart
  readonly queues: Page<QueueRow>
  readonly queue: QueuePart
  readonly timeline: Page<Lane>
  readonly clients: Page<Client>
  readonly server: ServerPart
}

/** Beside what is asked for. */
export interface Head {
  readonly now: string
  readonly principal?: string
  /** Why nothing can be published. */
  readonly stopped?: string
}

/** A message that is looked at. */
export interface Message {
  readonly sequence: number
  readonly batch: number
  readonly state: string
  readonly attempts: number
  readonly published_at: string
  readonly due_at?: string
  readonly holder?: string
  readonly content_type?: string
  readonly message_id?: string
  readonly priority?: number
  readonly group?: string
  readonly headers?: Readonly<Record<string, unknown>>
  readonly origin?: {
    readonly queue: string
    readonly sequence: number
    readonly batch: number
    readonly attempts: number
    readonly dead_at: string
    readonly reason: string
    readonly detail?: string
  }
  readonly body?: string
  readonly body_base64?: string
}
