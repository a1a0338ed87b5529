import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { checkRoom, EventStream, eventText, paced, type StreamTerms } from '../../src/listeners/http/event-stream.ts'
import { until } from './http-support.ts'

/*
 * Server-sent events to one reader, by themselves. What the routes send is in http-events.test.ts.
 */

interface Opened {
  readonly stream: EventStream
  readonly response: ServerResponse
  /** The reader's end; it reads unless it is paused. */
  readonly reader: Socket
  text(): string
  readonly isClosed: () => boolean
}

async function open(terms: StreamTerms = {}): Promise<Opened> {
  let response: ServerResponse | undefined
  const server = createServer((_, answer) => {
    answer.writeHead(200, { 'content-type': 'text/event-stream', connection: 'close' })
    response = answer
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const reader = connect((server.address() as AddressInfo).port, '127.0.0.1')
  onTestFinished(() => {
    reader.destroy()
    server.closeAllConnections()
    server.close()
  })
  let text = ''
  let isClosed = false
  reader.setEncoding('utf8')
  reader.on('data', chunk => {
    text += chunk
  })
  reader.on('error', () => {})
  reader.on('close', () => {
    isClosed = true
  })
  // 1.0: the answer comes as it is, not in chunks.
  reader.write('GET / HTTP/1.0\r\n\r\n')
  await until(() => response !== undefined)
  const answer = response as unknown as ServerResponse
  return {
    stream: new EventStream(answer, terms),
    response: answer,
    reader,
    text: () => text,
    isClosed: () => isClosed,
  }
}

const KILOBYTE = 'x'.repeat(1024)

/** Writes until the buffers of the system are full, and ours too. */
async function fill(stream: EventStream): Promise<void> {
  for (let turns = 0; turns < 20; turns += 1) {
    while (stream.offer({ data: KILOBYTE })) turns = 0
    await new Promise(resolve => setImmediate(resolve))
  }
}

test('an event is an id, a name and lines of data, and ends with an empty line', () => {
  expect(eventText({ id: 7, event: 'barrier', data: '{"a":1}' })).toBe('id: 7\nevent: barrier\ndata: {"a":1}\n\n')
  expect(eventText({ data: 'one\ntwo\r\nthree\rfour' })).toBe('data: one\ndata: two\ndata: three\ndata: four\n\n')
  expect(eventText({ data: '' })).toBe('data: \n\n')
})

test('an id or a name of more than one line would be read as another field, and is a bug', () => {
  expect(() => eventText({ id: '1\ndata: forged', data: '' })).toThrow('not one line')
  expect(() => eventText({ event: 'a\rb', data: '' })).toThrow('not one line')
  expect(() => eventText({ id: 'a\0', data: '' })).toThrow('not one line')
})

test('a stream tells first how long to wait before coming again, then what it is sent', async () => {
  const { stream, text } = await open({ retryMs: 700 })
  stream.send({ id: 1, data: 'a' })
  stream.send({ id: 2, event: 'e', data: 'b' })
  await until(() => text().endsWith('b\n\n'))
  expect(text().split('\r\n\r\n')[1]).toBe('retry: 700\n\nid: 1\ndata: a\n\nid: 2\nevent: e\ndata: b\n\n')
})

test('a reader that is silent gets a comment at each heartbeat', async () => {
  const { text } = await open({ heartbeatMs: 5 })
  await until(() => text().split('\n:\n').length > 3)
})

test('R9: a reader that takes nothing for two heartbeats while something waits for it is cut', async () => {
  const { stream, reader } = await open({ heartbeatMs: 20 })
  reader.pause()
  await fill(stream)
  await until(() => !stream.isOpen)
})

test('R9: of what may be missed a slow reader gets none above the buffer, and is told so at once', async () => {
  const { stream, reader } = await open({ bufferMax: 64 * 1024 })
  reader.pause()
  await fill(stream)
  expect(stream.offer({ data: 'more' })).toBe(false)
  expect(stream.isOpen).toBe(true)
  // One event more than the mark at most.
  expect(stream.bufferedBytes).toBeLessThan(64 * 1024 + 2 * 1024)
  let isDrained = false
  stream.onDrained(() => {
    isDrained = true
  })
  reader.resume()
  await until(() => isDrained)
  expect(stream.offer({ data: 'again' })).toBe(true)
})

test('R9: a reader too slow for what must not be missed is cut, so that it comes back and says where it was', async () => {
  const { stream, reader, isClosed } = await open({ bufferMax: 64 * 1024 })
  reader.pause()
  await fill(stream)
  let ended = 0
  stream.onEnd(() => {
    ended += 1
  })
  stream.send({ data: 'one too many' })
  expect(stream.isOpen).toBe(false)
  expect(ended).toBe(1)
  reader.resume()
  await until(isClosed)
})

test('R9: where all readers together have a limit, a stream is full at its share, and tells what waits for it', async () => {
  const told: number[] = []
  let share = 64 * 1024
  const { stream, reader } = await open({ waits: bytes => told.push(bytes), share: () => share })
  reader.pause()
  await fill(stream)
  expect(stream.bufferedBytes).toBeLessThan(64 * 1024 + 2 * 1024)
  expect(told.at(-1)).toBe(stream.bufferedBytes)
  share = 128 * 1024
  expect(stream.offer({ data: KILOBYTE })).toBe(true)
  reader.resume()
  await until(() => told.at(-1) === 0)
})

test('a state that changes often is told at most once in a while, and its last change always', async () => {
  const { stream, text } = await open()
  let state = 0
  let made = 0
  const changed = paced(stream, 30, () => {
    made += 1
    return { data: `${state}` }
  })
  for (state = 1; state < 100; state += 1) changed()
  expect(made).toBe(1)
  state = 100
  changed()
  await until(() => text().includes('data: 100\n'))
  expect(made).toBe(2)
})

test('a state that has been overtaken while the reader was behind is left out', async () => {
  const { stream, reader, text } = await open({ bufferMax: 64 * 1024 })
  reader.pause()
  await fill(stream)
  let made = 0
  let state = 'old'
  const changed = paced(stream, 0, () => {
    made += 1
    return { data: state }
  })
  changed()
  expect(made).toBe(0)
  state = 'new'
  changed()
  reader.resume()
  await until(() => text().endsWith('data: new\n\n'))
  expect(made).toBe(1)
  expect(text()).not.toContain('data: old')
})

test('a stream that is ended sends its last event and closes the socket', async () => {
  const { stream, text, isClosed } = await open()
  stream.end({ event: 'end', data: 'bye' })
  stream.send({ data: 'nobody hears this' })
  await until(isClosed)
  expect(text()).toContain('event: end\ndata: bye\n\n')
  expect(text()).not.toContain('nobody')
})

test('a stream that is ended for a reader that does not read is cut soon', async () => {
  const { stream, response, reader } = await open({ bufferMax: 64 * 1024 })
  reader.pause()
  await fill(stream)
  stream.end()
  await until(() => response.destroyed)
})

test('a reader that goes away ends its stream once, and who asks later is told at once', async () => {
  const { stream, reader } = await open()
  let ended = 0
  const count = (): void => {
    ended += 1
  }
  stream.onEnd(count)
  reader.destroy()
  await until(() => !stream.isOpen)
  await until(() => ended === 1)
  stream.onEnd(count)
  stream.end()
  stream.cut()
  expect(ended).toBe(2)
  expect(stream.offer({ data: 'x' })).toBe(false)
})

test('more streams than are allowed are refused with the limit', () => {
  expect(() => checkRoom({ open: 3, max: 4 })).not.toThrow()
  expect(() => checkRoom({ open: 4, max: 4 })).toThrow('streams_max allows 4')
})
