import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { applyQueues, type QueueUpdate } from '../../src/config/queues.ts'
import { QUEUE_OPTIONS } from '../../src/config/settings.ts'
import type { Engine } from '../../src/engine/engine.ts'
import { testEngine } from '../support/engine.ts'

/*
 * The queues of a configuration file, with the real engine.
 */

const EVERYTHING = `
[[queue]]
name            = "Q"
semantics       = "at-least-once"
barrier         = "/is_eof = 1"
barriers_max    = 10
barrier_records = 20
on_dead         = "hold"
deadline_rest   = "dead-letter"
forward_barrier = ["NEXT", "OTHER"]
announce        = "ALERTS"
filter          = "/sale IS NOT NULL"
priority        = "property"
group           = "/store"
lease           = "60s"
acks            = "any"
prefetch_max    = 100
prefetch_bytes  = "1MiB"
unacked_max     = 1000
fairness        = "round-robin"
deliveries_max  = 5
retry_delay     = { base = "1s", factor = 1.5, max = "1m", jitter = true }
dead_letter     = "LOST"
expiration      = "24h"
messages_max    = 1_000_000
bytes_max       = "1GiB"
overflow        = "dead-letter-oldest"
dedupe_window   = "5m"
dedupe_max      = 10_000
`

function apply(engine: Engine, toml: string): QueueUpdate[] {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-config-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'sluice.toml')
  writeFileSync(path, toml)
  const updates: QueueUpdate[] = []
  try {
    applyQueues(engine, loadConfig({ file: path }).config.queues, update => {
      updates.push({ ...update, place: update.place.replace(path, 'sluice.toml') })
    })
  } catch (error) {
    throw new Error((error as Error).message.replaceAll(path, 'sluice.toml'))
  }
  return updates
}

function optionsOf(engine: Engine, name: string) {
  return engine.broker.queue(name)?.options
}

test('every option that a queue has can be in the file', async () => {
  for (const option of QUEUE_OPTIONS) expect(EVERYTHING, option).toMatch(new RegExp(`^${option} `, 'm'))
  const { engine } = await testEngine()
  expect(apply(engine, EVERYTHING)).toEqual([])
  expect(optionsOf(engine, 'Q')).toMatchObject({
    onDead: 'hold',
    forwardBarrier: ['NEXT', 'OTHER'],
    announce: 'ALERTS',
    leaseMs: 60_000,
    retryDelay: { baseMs: 1_000, factor: 1.5, maxMs: 60_000, jitter: true },
    bytesMax: 2 ** 30,
    dedupeMax: 10_000,
  })
  // The second start with the same file changes nothing.
  expect(apply(engine, EVERYTHING)).toEqual([])
})

test('options of a queue that is there are updated by the file, and told; others stay', async () => {
  const { engine } = await testEngine()
  apply(engine, '[[queue]]\nname = "Q"\nlease = "30s"\ndeliveries_max = 3\nunacked_max = 7')
  const again = '\n[[queue]]\nname = "Q"\nlease = "1m"\ndeliveries_max = 3\nexpiration = "1h"'
  expect(apply(engine, again)).toEqual([
    { queue: 'Q', changed: { lease: '1m', expiration: '1h' }, place: 'sluice.toml:2:1' },
  ])
  expect(optionsOf(engine, 'Q')).toMatchObject({
    leaseMs: 60_000,
    expirationMs: 3_600_000,
    deliveriesMax: 3,
    unackedMax: 7,
  })
})

test('semantics never changes: the file is refused at its line', async () => {
  const { engine } = await testEngine()
  apply(engine, '[[queue]]\nname = "Q"')
  expect(() => apply(engine, '[[queue]]\nname = "Q"\nlease = "1m"\nsemantics = "at-most-once"')).toThrow(
    /^sluice\.toml:4:1: queue "Q": semantics never changes/,
  )
  expect(optionsOf(engine, 'Q')).not.toHaveProperty('leaseMs')
})

test('a queue that another one names has the options of the file, wherever it stands there', async () => {
  const { engine } = await testEngine()
  const toml = [
    '[[queue]]\nname = "Q"\nforward_barrier = "NEXT"\ndead_letter = "LOST"',
    '[[queue]]\nname = "NEXT"\nsemantics = "at-most-once"',
    '[[queue]]\nname = "LOST"\nlease = "1m"',
  ].join('\n')
  expect(apply(engine, toml)).toEqual([])
  expect(optionsOf(engine, 'NEXT')).toMatchObject({ semantics: 'at-most-once' })
  expect(optionsOf(engine, 'LOST')).toMatchObject({ leaseMs: 60_000 })
})

test('A7: a circle of dead letters or of forwarded barriers is refused at the line that closes it', async () => {
  const { engine } = await testEngine()
  const deadLetters = '[[queue]]\nname = "A"\ndead_letter = "B"\n[[queue]]\nname = "B"\ndead_letter = "A"'
  expect(() => apply(engine, deadLetters)).toThrow(/^sluice\.toml:3:1: queue "A": dead_letter: A → B → A/)
  const forwards = '[[queue]]\nname = "C"\nforward_barrier = "D"\n[[queue]]\nname = "D"\nforward_barrier = "C"'
  expect(() => apply(engine, forwards)).toThrow(/^sluice\.toml:3:1: queue "C": forward_barrier: C → D → C/)
})

test('a circle that the file itself opens is none', async () => {
  const { engine } = await testEngine()
  apply(engine, '[[queue]]\nname = "A"\ndead_letter = "B"')
  const turned = '[[queue]]\nname = "B"\ndead_letter = "A"\n[[queue]]\nname = "A"\ndead_letter = "drop"'
  // B was there because A named it: nobody had set what the file says now.
  expect(apply(engine, turned).map(({ queue }) => queue)).toEqual(['A'])
  expect(optionsOf(engine, 'B')).toMatchObject({ deadLetter: 'A' })
})

test.each([
  ['lease = "60 s"', /^sluice\.toml:3:1: queue "Q": lease: "60 s" is not a duration/],
  ['filter = "/a = "', /^sluice\.toml:3:1: queue "Q": filter: /],
  ['semantics = "at-most-once"\nlease = "1m"', /^sluice\.toml:4:1: queue "Q": lease: an at-most-once queue/],
  ['dead_letter = "Q"', /^sluice\.toml:3:1: queue "Q": dead_letter: Q → Q/],
  ['dead_letter = "drop"\non_dead = "hold"', /^sluice\.toml:4:1: queue "Q": on_dead: /],
])('what a queue cannot have is told at its line: %j', async (options, message) => {
  const { engine } = await testEngine()
  const toml = `[[queue]]\nname = "Q"\n${options}`
  expect(() => apply(engine, toml)).toThrow(message)
})
