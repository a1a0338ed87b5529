/* What the pages show in tests, put in by HTTP like anybody would. */

export class Seeding {
  readonly #url: string
  readonly #token: string | undefined

  constructor(url: string, token?: string) {
    this.#url = url
    this.#token = token
  }

  async call<T>(method: string, path: string, body?: string | object): Promise<T> {
    const type = typeof body === 'string' ? 'application/x-ndjson' : 'application/json'
    const response = await fetch(`${this.#url}/v1/${path}`, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': type }),
        ...(this.#token === undefined ? {} : { authorization: `Bearer ${this.#token}` }),
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
    return (response.status === 204 ? undefined : await response.json()) as T
  }

  queue(name: string, options: object = {}): Promise<unknown> {
    return this.call('PUT', `queues/${encodeURIComponent(name)}`, options)
  }

  publish(queue: string, bodies: readonly unknown[]): Promise<unknown> {
    return this.call(
      'POST',
      `queues/${encodeURIComponent(queue)}/messages`,
      bodies.map(body => JSON.stringify(body)).join('\n'),
    )
  }

  barrier(queue: string, name: string, query = ''): Promise<unknown> {
    return this.call('POST', `queues/${encodeURIComponent(queue)}/barriers?name=${encodeURIComponent(name)}${query}`)
  }

  /** Takes so many, and says what became of them. `hold`: they stay in flight. */
  async work(queue: string, count: number, how: 'acks' | 'rejects' | 'nacks' | 'hold'): Promise<number> {
    const at = `queues/${encodeURIComponent(queue)}`
    let done = 0
    while (done < count) {
      const max = Math.min(1_000, count - done)
      const { deliveries } = await this.call<{ deliveries: { sequence: number; lease_token?: string }[] }>(
        'POST',
        `${at}/deliveries?max=${max}&wait=0s&lease=1h`,
      )
      const taken = deliveries.filter(({ lease_token }) => lease_token !== undefined)
      if (taken.length === 0) break
      done += taken.length
      if (how !== 'hold')
        await this.call('POST', `${at}/${how}`, {
          deliveries: taken.map(({ sequence, lease_token }) => ({ sequence, lease_token })),
        })
    }
    return done
  }
}

export function sales(count: number): object[] {
  return Array.from({ length: count }, (_, index) => ({
    store: (index % 40) + 1,
    sku: `A-${1000 + index}`,
    qty: (index % 7) + 1,
  }))
}
