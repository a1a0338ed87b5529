import { damage, randomBytes } from '../fuzz/bytes.ts'
import { encoded, someFields } from '../fuzz/values.ts'
import type { Random } from '../support/random.ts'

const FRAMES = ['hello', 'publish', 'publishAtomic', 'subscribe', 'settle', 'request'] as const
const TEXTS = [
  'GET / HTTP/1.1\r\n\r\n',
  'POST /v1/queues/q/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n{',
  'GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: x\r\n\r\n',
  '*1\r\n$4\r\nPING\r\n',
  '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  'AMQP\0\0\x09\x01',
]

/** What strangers and broken clients send. */
export function someGarbage(random: Random): Uint8Array {
  const dice = random.below(4)
  if (dice === 0) return randomBytes(random, random.between(1, 2_000))
  if (dice === 1) return damage(new Uint8Array(Buffer.from(random.of(TEXTS), 'latin1')), random)
  const name = random.of(FRAMES)
  const bytes = encoded(name, someFields(name, random))
  return dice === 2 ? bytes : damage(bytes, random)
}
