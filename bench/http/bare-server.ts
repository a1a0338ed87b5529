import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What HTTP costs by itself: reads the whole body and answers as short as a publish is answered. */
const server = createServer((request, response) => {
  request.on('data', () => {})
  request.on('end', () => {
    response.writeHead(201, { 'content-type': 'application/json' }).end('{"sequence":1,"duplicate":false}')
  })
}).listen(0, '127.0.0.1', () => {
  process.stdout.write(`ready on http://127.0.0.1:${(server.address() as AddressInfo).port}\n`)
})
process.on('SIGTERM', () => process.exit(0))
