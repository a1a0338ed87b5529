import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Engine } from '../../engine/peer.ts'
import type { Certificates } from '../../net/certificates.ts'
import type { Entrance, EntranceLimit } from '../../net/entrance.ts'
import { type HandlerOptions, httpHandler } from './handler.ts'
import { Problem, problemReply } from './problem.ts'

/** Time for all headers of a request: slower clients only hold sockets. Bodies have a limit of their own (body.ts). */
const HEADERS_MS_MAX = 5_000
/** Time for a TLS handshake. */
const HANDSHAKE_MS_MAX = 5_000
/** All headers of a request together; `Sluice-Header-*` among them. */
const HEADERS_BYTES_MAX = 16 * 1024
/** Longer than the minute after which most proxies and clients drop an idle connection, so that they do it first. */
const KEEP_ALIVE_MS = 65_000
/** How often the two above are looked after. */
const CHECK_MS = 1_000
/** What is still being answered at a close has this long. */
const CLOSE_MS_MAX = 5_000

export interface HttpOptions extends HandlerOptions {
  /** Who may come in, WebSockets among them; others are closed at once. Default: all. */
  readonly entrance?: Entrance
  /** With them only TLS is spoken. */
  readonly certificates?: Certificates
  /** Told of each connection that was closed at once. */
  readonly onRefused?: (refused: { readonly address: string; readonly limit: EntranceLimit }) => void
  /** Told of each handshake that failed: no certificate, one of another CA, no TLS at all. */
  readonly onHandshakeFailed?: (failed: { readonly address: string; readonly reason: string }) => void
}

export interface HttpListener {
  /** For others on the same port: the native protocol takes its `upgrade`. */
  readonly server: Server
  /** @returns the URL it is reached at. @throws the error of the socket: address in use, not allowed, … */
  listen(address: { readonly host: string; readonly port: number }): Promise<string>
  /** Takes no more, answers what waits `shutting-down`, lets the rest finish. Sockets upgraded must be closed by who has them. */
  close(): Promise<void>
}

export function createHttpServer(engine: Engine, options: HttpOptions): HttpListener {
  const { certificates } = options
  const server = serverOf(certificates, {
    headersTimeout: HEADERS_MS_MAX,
    // It counts the body too, and an NDJSON body takes as long as it takes.
    requestTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: CHECK_MS,
    maxHeaderSize: HEADERS_BYTES_MAX,
  })
  // Node leaves out those above a count without a word; their bytes are bounded already.
  server.maxHeadersCount = 0
  options.entrance?.guard(server, (address, limit) => options.onRefused?.({ address, limit }))
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket: TLSSocket) => {
    // Of a certificate that was not accepted Node says only that the connection is gone.
    const reason = String(socket.authorizationError ?? error.code ?? error.message)
    // Who goes away before the end has not been refused.
    if (reason !== 'ECONNRESET') options.onHandshakeFailed?.({ address: socket.remoteAddress ?? '', reason })
    socket.destroy()
  })

  const handler = httpHandler(engine, options)
  server.on('request', handler.handle)
  // The client is told to go on when its body is read, not before its headers have been looked at.
  server.on('checkContinue', handler.handle)
  server.on('checkExpectation', refuseExpectation)
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (handler.isAnswering(socket) || !socket.writable || error.code === 'ECONNRESET') socket.destroy()
    else socket.end(rawProblem(error.code))
  })

  return {
    server,
    listen: ({ host, port }) =>
      new Promise((resolve, reject) => {
        server.once('error', reject)
        server.listen(port, host, () => {
          server.off('error', reject)
          const { port: picked } = server.address() as AddressInfo
          resolve(
            `${certificates === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${picked}`,
          )
        })
      }),
    close() {
      handler.close()
      const timer = setTimeout(() => server.closeAllConnections(), CLOSE_MS_MAX)
      return new Promise(resolve => {
        // Its only error is that it was not listening: then it is closed already.
        server.close(() => {
          clearTimeout(timer)
          resolve()
        })
      })
    },
  }
}

function serverOf(certificates: Certificates | undefined, options: ServerOptions): Server {
  if (certificates === undefined) return createServer(options)
  const { areClientsChecked } = certificates
  const server = createTlsServer({
    ...options,
    ...certificates.options,
    handshakeTimeout: HANDSHAKE_MS_MAX,
    requestCert: areClientsChecked,
    rejectUnauthorized: areClientsChecked,
  })
  // For handshakes to come; connections that are open stay.
  certificates.onChange(changed => server.setSecureContext(changed))
  return server
}

function refuseExpectation(_: IncomingMessage, response: ServerResponse): void {
  const { status, headers, json } = problemReply(
    new Problem('expectation-failed', 'the only expectation met here is 100-continue', { header: 'expect' }),
  )
  response.writeHead(status, { ...headers, connection: 'close' }).end(JSON.stringify(json))
}

/** For bytes that are no request: there is no response to write it with. */
function rawProblem(code: string | undefined): string {
  const status = code === 'HPE_HEADER_OVERFLOW' ? 431 : code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400
  const detail = status === 431 ? `the headers take more than ${HEADERS_BYTES_MAX} bytes` : 'this is no HTTP request'
  const body = `${JSON.stringify({ title: STATUS_CODES[status], status, code: 'invalid-request', detail })}\n`
  return [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    'connection: close',
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(body)}`,
    '',
    body,
  ].join('\r\n')
}
