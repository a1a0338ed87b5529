import { request } from 'node:http'
import { onTestFinished } from 'vitest'

export interface HeardEvent {
  readonly id?: string
  readonly event: string
  // biome-ignore lint/suspicious/noExplicitAny: what a test says about an event is checked by the test
  readonly data: any
}

export interface EventSource {
  readonly status: number
  readonly heard: HeardEvent[]
  readonly isEnded: () => boolean
  /** Comes back with the first event of this name, once it is there. */
  next(name: string): Promise<HeardEvent>
  pause(): void
  resume(): void
  close(): void
}

/** A reader of server-sent events, as the HTML standard (9.2.6) says; closed with the test. */
export function openEvents(port: number, path: string, headers: Record<string, string> = {}): Promise<EventSource> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, headers, agent: false }, response => {
      const heard: HeardEvent[] = []
      let text = ''
      let isEnded = false
      let told = () => {}
      response.setEncoding('utf8')
      response.on('data', chunk => {
        text += chunk
        const blocks = text.split('\n\n')
        text = blocks.pop() ?? ''
        for (const block of blocks) heard.push(...eventOf(block))
        told()
      })
      const end = () => {
        isEnded = true
        told()
      }
      response.on('error', end).on('close', end)
      resolve({
        status: response.statusCode ?? 0,
        heard,
        isEnded: () => isEnded,
        async next(name) {
          for (;;) {
            const found = heard.find(({ event }) => event === name)
            if (found !== undefined) return found
            if (isEnded) throw new Error(`the stream ended without "${name}": ${JSON.stringify(heard)}`)
            await new Promise<void>(again => {
              told = again
            })
          }
        },
        pause: () => response.socket.pause(),
        resume: () => response.socket.resume(),
        close: () => asked.destroy(),
      })
    })
    asked.on('error', reject)
    onTestFinished(() => void asked.destroy())
    asked.end()
  })
}

function eventOf(block: string): HeardEvent[] {
  let id: string | undefined
  let event = 'message'
  const data: string[] = []
  for (const line of block.split('\n')) {
    const [, field, value = ''] = /^([^:]+)(?:: ?(.*))?$/.exec(line) ?? []
    if (field === 'id') id = value
    else if (field === 'event') event = value
    else if (field === 'data') data.push(value)
  }
  if (data.length === 0) return []
  return [{ event, data: JSON.parse(data.join('\n')), ...(id === undefined ? {} : { id }) }]
}
