import { connect } from '@sluice/client'

/** What the page tells its test; the test calls what is here from outside. */
export interface PageState {
  /** What the client told, and what came, in order. */
  readonly log: string[]
  publish(n: number): Promise<number>
  /** Puts a barrier and waits for it. @returns its outcome */
  barrier(name: string): Promise<string>
}

const { location } = globalThis as unknown as { location: { readonly search: string } }
const { url = '', token = '' } = Object.fromEntries(new URLSearchParams(location.search))
const log: string[] = []
const page = globalThis as { state?: PageState; failure?: string }

try {
  const client = await connect(url, { name: 'page', token, backoff: { baseMs: 50, maxMs: 200 } })
  client.addEventListener('status', ({ detail }) => log.push(detail.status))
  // Both codecs that a browser might have trouble with: msgpackr would like to make functions of text.
  const queue = client.queue<{ readonly n: number }>('page', { codec: 'msgpack' })
  await queue.declare()
  page.state = {
    log,
    publish: async n => (await queue.publish({ n })).sequence,
    barrier: async name => (await (await queue.barrier({ name })).wait()).outcome,
  }
  for await (const message of queue.consume({ prefetch: 10 })) {
    if (message.kind === 'barrier') log.push(`barrier ${message.name}`)
    else {
      log.push(`message ${message.body.n}`)
      await message.ack()
    }
  }
} catch (error) {
  page.failure = String(error)
}
