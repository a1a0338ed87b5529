import { toSnakeCase, type ValueMap } from '@sluice/protocol'
import type { Peer, QueueOptionsInput, Refusal } from '../../engine/peer.ts'
import { OPERATING, readPage } from './operating.ts'
import type { Params } from './params.ts'
import { isRefusal } from './refusals.ts'
import { barrierLine, barrierMap, recordWithBody, viewOrRefusal } from './views.ts'

/** Answers a request, at once or later, exactly once. */
type Answer = (answer: ValueMap | Refusal) => void
/** A request that can be taken back while it waits for its answer. */
export interface Waiting {
  cancel(): void
}
export type Method = (peer: Peer, params: Params, answer: Answer) => Waiting | undefined

/** Holdouts in an answer, if the request does not say how many. */
const HOLDOUTS_DEFAULT = 100
const HOLDOUTS_MAX = 1_000
const BARRIER_STATES = ['gathering', 'waiting', 'released'] as const
/** Queues in an answer. */
const LIST_MAX = 4_096

/** What can be asked by a `request` frame. Each reads all of its params before it does anything; only a wait can be taken back. */
const METHODS: Readonly<Record<string, Method>> = {
  ...OPERATING,
  declare(peer, params, answer) {
    const name = params.text('name')
    const options = params.map('options') as QueueOptionsInput
    params.end()
    peer.declare(name, options, declared => {
      answer(isRefusal(declared) ? declared : { created: declared.created, queue: toSnakeCase(declared.queue) })
    })
  },
  queues(peer, params, answer) {
    const after = params.optionalText('after')
    const limit = Math.min(params.optionalUint('limit') ?? LIST_MAX, LIST_MAX)
    params.end()
    const queues = peer.queues().filter(queue => after === undefined || queue.name > after)
    queues.sort((a, b) => (a.name < b.name ? -1 : 1))
    answer({ queues: queues.slice(0, limit).map(toSnakeCase), ...(queues.length > limit && { more: true }) })
  },
  queue(peer, params, answer) {
    const name = params.text('name')
    params.end()
    answer(viewOrRefusal(peer.queue(name)))
  },
  delete(peer, params, answer) {
    const name = params.text('name')
    params.end()
    peer.deleteQueue(name, refusal => answer(refusal ?? {}))
  },
  wait(peer, params, answer) {
    const queue = params.text('queue')
    const barrier = params.text('barrier')
    const timeoutMs = params.optionalUint('timeout_ms')
    params.end()
    return peer.waitForBarrier(queue, barrier, timeoutMs, released => {
      answer(isRefusal(released) ? released : recordWithBody(released))
    })
  },
  barrier(peer, params, answer) {
    const queue = params.text('queue')
    const name = params.text('barrier')
    params.end()
    const barrier = peer.barrier(queue, name)
    answer(isRefusal(barrier) ? barrier : barrierMap(barrier))
  },
  receipt(peer, params, answer) {
    const queue = params.text('queue')
    const name = params.text('barrier')
    params.end()
    const receipt = peer.receipt(queue, name)
    answer(isRefusal(receipt) ? receipt : { text: receipt.text, sha256: receipt.sha256 })
  },
  barriers(peer, params, answer) {
    const queue = params.text('queue')
    const state = params.optionalOneOf('state', BARRIER_STATES)
    const bodies = params.optionalBool('bodies') ?? false
    const place = readPage(params)
    params.end()
    const found = peer.barriers({ queue, bodies, ...place, ...(state && { state }) })
    if (isRefusal(found)) answer(found)
    else {
      const { barriers, next } = found
      answer({ barriers: barriers.map(barrier => barrierLine(barrier, bodies)), ...(next !== undefined && { next }) })
    }
  },
  holdouts(peer, params, answer) {
    const queue = params.text('queue')
    const name = params.text('barrier')
    const after = params.optionalUint('after')
    const limit = Math.min(params.optionalUint('limit') ?? HOLDOUTS_DEFAULT, HOLDOUTS_MAX)
    params.end()
    const holdouts = peer.holdouts(queue, name, after === undefined ? { limit } : { after, limit })
    answer(isRefusal(holdouts) ? holdouts : { holdouts: holdouts.map(toSnakeCase) })
  },
  /** Answered at once: everything sent before it has been taken by then, for commands are carried out in order (P3). */
  ping(_peer, params, answer) {
    params.end()
    answer({})
  },
}

/** @returns undefined for a method that is not there. */
export function methodNamed(name: string): Method | undefined {
  return Object.hasOwn(METHODS, name) ? METHODS[name] : undefined
}
