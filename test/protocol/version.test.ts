import { createHash } from 'node:crypto'
import {
  FRAMES,
  PROTOCOL_HISTORY,
  PROTOCOL_VERSION,
  PROTOCOL_VERSION_MIN,
  REFUSALS,
  refusalKind,
} from '@sluice/protocol'
import { expect, test } from 'vitest'

const hash = (value: unknown) => createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 16)

/** A table that was published does not change: this wants a new version, a line of history and a new hash. */
const FRAMES_OF_VERSION: Record<number, string> = {
  1: '6128a55d98fcc96a',
  2: '6c459895b623db05',
  3: '6c459895b623db05',
}

test('the table of frames is the one of its version', () => {
  expect(hash(FRAMES)).toBe(FRAMES_OF_VERSION[PROTOCOL_VERSION])
})

test('each version has its line of history', () => {
  const versions = PROTOCOL_HISTORY.map(line => line.version)
  expect(versions).toEqual(Array.from({ length: PROTOCOL_VERSION }, (_, i) => i + 1))
  expect(PROTOCOL_VERSION_MIN).toBeLessThanOrEqual(PROTOCOL_VERSION)
})

test('a code is known by its own name only', () => {
  expect(Object.keys(REFUSALS)).toContain('queue-full')
  expect(refusalKind('queue-full')).toEqual({ scope: 'request', retry: 'later' })
  expect(refusalKind('toString')).toBe(undefined)
})
