import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:tls'
import { expect, onTestFinished, test } from 'vitest'
import { clientName } from '../../src/net/client-name.ts'
import { TestCa, type Wanted } from '../support/certificates.ts'

const ca = new TestCa()

/** The name that a server sees of a client with such a certificate; `null` is none. */
async function nameOf(wanted: Wanted | null): Promise<string | undefined> {
  const own = ca.issue()
  const server = createServer({ ...own, ca: ca.cert, requestCert: true, rejectUnauthorized: false })
  onTestFinished(() => void server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const secured = once(server, 'secureConnection')
  const client = connect({ port, host: '127.0.0.1', ca: ca.cert, ...(wanted === null ? {} : ca.issue(wanted)) })
  client.on('error', () => {})
  const [socket] = await secured
  const name = clientName(socket)
  socket.destroy()
  client.destroy()
  return name
}

test.each<[string, Wanted | null, string | undefined]>([
  ['the common name', { name: 'nightly-loader', dns: ['other'], ip: [] }, 'nightly-loader'],
  ['without one the first DNS name', { dns: ['loader.example', 'other'], ip: [] }, 'loader.example'],
  ['or the first URI', { dns: [], ip: [], uris: ['spiffe://example/loader'] }, 'spiffe://example/loader'],
  ['no address: it says where, not who', { dns: [], ip: ['10.0.0.1'] }, undefined],
  ['nobody without names', { dns: [], ip: [] }, undefined],
  ['nobody without a certificate', null, undefined],
  ['nobody with a line break in the name', { name: 'ann\nroot', dns: [], ip: [] }, undefined],
  ['nobody with an escape in the name', { name: 'ann\u001b[2J', dns: [], ip: [] }, undefined],
  ['nobody with a NUL in the name', { name: 'ann\u0000.evil', dns: [], ip: [] }, undefined],
  ['nobody with blanks around the name', { name: ' ann', dns: [], ip: [] }, undefined],
  ['nobody with a name of more than 255 bytes', { name: 'ü'.repeat(128), dns: [], ip: [] }, undefined],
  ['nobody whose alternative name would be two', { dns: ['ann, DNS:root'], ip: [] }, undefined],
])('a client is named by its certificate: %s', async (_, wanted, name) => {
  expect(await nameOf(wanted)).toBe(name)
})

test('a certificate of a CA that is not ours names nobody', async () => {
  const own = ca.issue()
  const server = createServer({ ...own, ca: ca.cert, requestCert: true, rejectUnauthorized: false })
  onTestFinished(() => void server.close())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const secured = once(server, 'secureConnection')
  const client = connect({ port, host: '127.0.0.1', ca: ca.cert, ...new TestCa('Other').issue({ name: 'root' }) })
  client.on('error', () => {})
  const [socket] = await secured
  expect(clientName(socket)).toBeUndefined()
  socket.destroy()
  client.destroy()
})
