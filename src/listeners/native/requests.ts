import { type Frames, ProtocolError, REQUESTS_PENDING_MAX, type ValueMap } from '@sluice/protocol'
import type { Peer, Refusal } from '../../engine/peer.ts'
import { methodNamed, type Waiting } from './methods.ts'
import type { Outgoing } from './outgoing.ts'
import { InvalidParams, Params } from './params.ts'
import { isRefusal, refusalValue, type WireRefusal } from './refusals.ts'

/** What a client has asked and not been answered yet, under the ids that it chose. */
export class Requests {
  readonly #out: Outgoing
  readonly #waiting = new Map<number, Waiting | undefined>()

  constructor(out: Outgoing) {
    this.#out = out
  }

  /**
   * An id starts to wait for its answer; `answered` must follow if it may.
   *
   * @returns why it may not wait.
   * @throws ProtocolError for an id that waits already: its answers could not be told apart.
   */
  begin(id: number): Refusal | undefined {
    if (id === 0) throw new ProtocolError('request 0: numbers start at 1')
    if (this.#waiting.has(id)) throw new ProtocolError(`request ${id} still waits for its answer`)
    if (this.#waiting.size >= REQUESTS_PENDING_MAX) {
      const facts = { limit: REQUESTS_PENDING_MAX }
      return { code: 'server-busy', detail: 'too many requests wait for their answer', facts }
    }
    this.#waiting.set(id, undefined)
    return undefined
  }

  answered(id: number): void {
    this.#waiting.delete(id)
  }

  request(peer: Peer, { id, method, params }: Frames['request']): void {
    const busy = this.begin(id)
    if (busy === undefined) this.#run(peer, id, method, new Params(params))
    else this.refuse(id, busy)
  }

  respond(id: number, result: ValueMap): void {
    this.answered(id)
    try {
      this.#out.frame('response', { id, refusal: null, result })
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      this.refuse(id, error)
    }
  }

  refuse(id: number, refusal: WireRefusal): void {
    this.answered(id)
    this.#out.frame('response', { id, refusal: refusalValue(refusal), result: null })
  }

  #run(peer: Peer, id: number, method: string, params: Params): void {
    try {
      if (method === 'cancel') {
        this.#cancel(params)
        this.respond(id, {})
        return
      }
      const run = methodNamed(method)
      if (run === undefined) throw new InvalidParams(`there is no method ${method}`)
      const waiting = run(peer, params, answer => {
        if (!this.#waiting.has(id)) return
        if (isRefusal(answer)) this.refuse(id, answer)
        else this.respond(id, answer)
      })
      if (waiting !== undefined && this.#waiting.has(id)) this.#waiting.set(id, waiting)
    } catch (error) {
      if (!(error instanceof InvalidParams)) throw error
      this.refuse(id, { code: 'invalid-request', detail: error.message })
    }
  }

  /** Only what can be taken back is; it gets no answer any more. */
  #cancel(params: Params): void {
    const id = params.uint('id')
    params.end()
    const waiting = this.#waiting.get(id)
    if (waiting === undefined) return
    waiting.cancel()
    this.#waiting.delete(id)
  }
}
