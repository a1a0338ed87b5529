import type { DeadLetterChoice, PageCommand, QueueOptionsInput } from '../../engine/peer.ts'
import type { Method } from './methods.ts'
import type { Params } from './params.ts'
import { isRefusal } from './refusals.ts'
import { barrierMap, pageOrRefusal, viewOrRefusal } from './views.ts'

/** Messages of a page, if the request does not say how many, and at most. */
const PAGE_DEFAULT = 100
const PAGE_MAX = 1_000
/** Bytes of messages in one page: it ends once they are reached, and says where to go on. */
const PAGE_BYTES: number = 1024 * 1024
const STATES = ['ready', 'leased', 'delayed'] as const
const ACTS = ['release', 'dead-letter', 'delete'] as const
const RESTS = ['carry', 'dead-letter', 'drop'] as const

/** What operators ask of queues, messages, dead letters and barriers. */
export const OPERATING: Readonly<Record<string, Method>> = {
  update(peer, params, answer) {
    const name = params.text('name')
    const options = params.map('options') as QueueOptionsInput
    params.end()
    peer.update(name, options, view => answer(viewOrRefusal(view)))
  },
  pause: pausing(true),
  resume: pausing(false),
  purge(peer, params, answer) {
    const name = params.text('name')
    const leased = params.optionalBool('leased') ?? false
    params.end()
    peer.purge(name, { leased }, answer)
  },
  browse(peer, params, answer) {
    const queue = params.text('queue')
    const state = params.optionalOneOf('state', STATES)
    const filter = params.optionalText('filter')
    const place = readPage(params)
    params.end()
    answer(pageOrRefusal(peer.browse({ queue, ...place, ...(state && { state }), ...(filter && { filter }) })))
  },
  operate(peer, params, answer) {
    const queue = params.text('queue')
    const sequence = params.uint('sequence')
    const act = params.oneOf('act', ACTS)
    params.end()
    peer.operate(queue, sequence, act, result => answer(typeof result === 'string' ? { result } : result))
  },
  dead(peer, params, answer) {
    const dead = choice(params)
    const place = readPage(params)
    params.end()
    answer(pageOrRefusal(peer.deadLetters({ ...dead, ...place })))
  },
  requeue(peer, params, answer) {
    const dead = choice(params)
    params.end()
    peer.requeueDeadLetters(dead, answer)
  },
  'purge-dead'(peer, params, answer) {
    const dead = choice(params)
    params.end()
    peer.purgeDeadLetters(dead, answer)
  },
  'cancel-barrier'(peer, params, answer) {
    const queue = params.text('queue')
    const barrier = params.text('barrier')
    const rest = params.optionalOneOf('rest', RESTS)
    params.end()
    peer.cancelBarrier(queue, barrier, rest, view => answer(isRefusal(view) ? view : barrierMap(view)))
  },
  'extend-barrier'(peer, params, answer) {
    const queue = params.text('queue')
    const barrier = params.text('barrier')
    const deadlineMs = params.uint('deadline_ms')
    params.end()
    peer.extendBarrier(queue, barrier, deadlineMs, view => answer(isRefusal(view) ? view : barrierMap(view)))
  },
}

function pausing(isPaused: boolean): Method {
  return (peer, params, answer) => {
    const name = params.text('name')
    params.end()
    peer.pause(name, isPaused, view => answer(viewOrRefusal(view)))
    return undefined
  }
}

export function readPage(params: Params): PageCommand {
  const after = params.optionalUint('after')
  const limit = Math.min(params.optionalUint('limit') ?? PAGE_DEFAULT, PAGE_MAX)
  return { limit, bytesMax: PAGE_BYTES, ...(after !== undefined && { after }) }
}

function choice(params: Params): DeadLetterChoice {
  const queue = params.text('queue')
  const filter = params.optionalText('filter')
  const batch = params.optionalText('batch')
  const sequence = params.optionalUint('sequence')
  return { queue, ...(filter && { filter }), ...(batch && { batch }), ...(sequence !== undefined && { sequence }) }
}
