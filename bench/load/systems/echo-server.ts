import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'

/** The process behind `echo.ts`. */
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, skipUTF8Validation: true }, () => {
  process.stdout.write(`ready on ws://127.0.0.1:${(server.address() as AddressInfo).port}\n`)
})
server.on('connection', socket => socket.on('message', body => socket.send(body)))
process.on('SIGTERM', () => process.exit(0))
