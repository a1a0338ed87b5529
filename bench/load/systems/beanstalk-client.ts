import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

interface Answer {
  readonly words: readonly string[]
  /** Of answers that carry one. */
  readonly body: Buffer
}

const CRLF = '\r\n'
const NO_BODY = Buffer.alloc(0)
const WITH_BODY: readonly string[] = ['RESERVED', 'OK', 'FOUND']
/** What means that the command was not carried out as it was meant. */
const ERRORS: readonly string[] = [
  'OUT_OF_MEMORY',
  'INTERNAL_ERROR',
  'BAD_FORMAT',
  'UNKNOWN_COMMAND',
  'BURIED',
  'DRAINING',
]

/** As much of beanstalkd's protocol as the adapter needs, pipelined: the packages for Node that there are take no bytes. */
export class BeanstalkClient {
  readonly #socket: Socket
  readonly #waiting: { resolve(answer: Answer): void; reject(error: Error): void }[] = []
  #rest: Buffer = NO_BODY

  private constructor(socket: Socket) {
    this.#socket = socket.setNoDelay(true)
    socket.on('data', chunk => this.#read(chunk))
    socket.on('close', () => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error('beanstalkd has closed the connection'))
    })
  }

  static async connect(port: number): Promise<BeanstalkClient> {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    return new BeanstalkClient(socket)
  }

  command(line: string): Promise<Answer> {
    return this.#send(Buffer.from(line + CRLF))
  }

  put(body: Buffer, ttrSeconds: number): Promise<Answer> {
    return this.#send(
      Buffer.concat([Buffer.from(`put 0 0 ${ttrSeconds} ${body.length}${CRLF}`), body, Buffer.from(CRLF)]),
    )
  }

  close(): void {
    this.#socket.destroy()
  }

  /** What is sent in one tick goes out in one write. */
  #send(bytes: Buffer): Promise<Answer> {
    if (!this.#socket.writableCorked) {
      this.#socket.cork()
      process.nextTick(() => this.#socket.uncork())
    }
    this.#socket.write(bytes)
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  #read(chunk: Buffer): void {
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    for (let end = bytes.indexOf(CRLF); end >= 0; end = bytes.indexOf(CRLF)) {
      const words = bytes.toString('latin1', 0, end).split(' ')
      const length = WITH_BODY.includes(words[0] ?? '') ? Number(words.at(-1)) : undefined
      const bodyAt = end + CRLF.length
      const next = length === undefined ? bodyAt : bodyAt + length + CRLF.length
      if (next > bytes.length) break
      this.#answered({ words, body: length === undefined ? NO_BODY : bytes.subarray(bodyAt, bodyAt + length) })
      bytes = bytes.subarray(next)
    }
    this.#rest = bytes
  }

  #answered(answer: Answer): void {
    const waiter = this.#waiting.shift()
    if (ERRORS.includes(answer.words[0] ?? '')) waiter?.reject(new Error(`beanstalkd says ${answer.words.join(' ')}`))
    else waiter?.resolve(answer)
  }
}
