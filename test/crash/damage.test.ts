import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { connect } from '@sluice/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { seeded } from './support/seeded.ts'
import { type Ending, ServerProcess } from './support/server-process.ts'

const MESSAGES = 3_000
const base = mkdtempSync(path.join(tmpdir(), 'sluice-damage-'))
const original = path.join(base, 'original')
let copies = 0

afterAll(() => rmSync(base, { recursive: true, force: true }))

const bodyOf = (id: number) => `${id} `.repeat(1 + (id % 40)) + (id % 100 === 0 ? 'x'.repeat(20_000) : '')

beforeAll(async () => {
  const server = await ServerProcess.start({ folder: original })
  const client = await connect(await server.url(), { name: 'publisher' })
  const queue = client.queue<string>('q')
  await queue.declare({})
  // Some at a time: many commits, rows of every size.
  for (let id = 1; id <= MESSAGES; id += 50)
    await Promise.all(Array.from({ length: 50 }, (_, k) => queue.publish(bodyOf(id + k))))
  await client.close()
  await server.end('SIGKILL')
})

/** A copy of the data, for a start that may change it. */
function copy(): { readonly folder: string; readonly file: string } {
  copies += 1
  const folder = path.join(base, `copy-${copies}`)
  cpSync(original, folder, { recursive: true, filter: name => !path.basename(name).startsWith('lock-') })
  return { folder, file: path.join(folder, 'data.mdb') }
}

/** How a server on damaged data ends by itself. */
async function ending(folder: string): Promise<Ending & { readonly said: string }> {
  const server = ServerProcess.spawn({ folder })
  const timer = setTimeout(() => void server.end('SIGTERM'), 20_000)
  const ended = await server.ended
  clearTimeout(timer)
  return { ...ended, said: server.stderr }
}

test('R8: a data file that was cut off is refused with the reason, and no signal ends the server', async () => {
  for (const share of [0.02, 0.5, 0.97]) {
    const { folder, file } = copy()
    truncateSync(file, Math.floor(statSync(file).size * share))
    const { code, signal, said } = await ending(folder)
    expect({ code, signal }).toEqual({ code: 1, signal: null })
    expect(said).toMatch(/^sluice: the data in .*data\.mdb are damaged: it has \d+ bytes and .* cut off/m)
  }
})

test('R8: a data file that was emptied, or is gone, is no first start', async () => {
  const emptied = copy()
  truncateSync(emptied.file, 0)
  const gone = copy()
  unlinkSync(gone.file)
  for (const [{ folder }, why] of [
    [emptied, 'it is empty, and it was not'],
    [gone, 'it is gone'],
  ] as const) {
    const { code, said } = await ending(folder)
    expect(code).toBe(1)
    expect(said).toContain(`are damaged: ${why}`)
    expect(said).toContain('to begin with nothing, remove the folder')
  }
})

test('R1: after a loss of power in the very first start, before anything was kept, the next one needs no hand', async () => {
  for (const left of [0, 100, 4_096, 8_192]) {
    copies += 1
    const folder = path.join(base, `first-${copies}`)
    mkdirSync(folder)
    writeFileSync(path.join(folder, 'data.mdb'), Buffer.alloc(left))
    const server = await ServerProcess.start({ folder })
    await server.end('SIGTERM')
    await (await ServerProcess.start({ folder })).end('SIGKILL')
  }
})

test('R8: data that are no data are refused with the reason', async () => {
  const { folder, file } = copy()
  writeFileSync(file, Buffer.alloc(statSync(file).size, 'sluice'))
  const { code, said } = await ending(folder)
  expect(code).toBe(1)
  expect(said).toContain('are damaged: ')
})

test('R8: of bits that flip none is overlooked: the server refuses to start, stops when it reads them, or has every message as it was', {
  timeout: 240_000,
}, async () => {
  const seed = Number(process.env['SLUICE_CRASH_SEED'] ?? Date.now() % 1_000_000)
  console.log(`damage seed ${seed}: SLUICE_CRASH_SEED=${seed} npx vitest run --project slow test/crash/damage.test.ts`)
  const random = seeded(seed)
  const outcomes = { refused: 0, stopped: 0, harmless: 0 }
  for (let round = 0; round < 12; round += 1) {
    const { folder, file } = copy()
    const bytes = readFileSync(file)
    // The heads of pages are where it hurts LMDB: every other flip goes there.
    const at =
      round % 2 === 0
        ? Math.floor(random() * bytes.length)
        : Math.floor((random() * bytes.length) / 4_096) * 4_096 + Math.floor(random() * 64)
    const bit = 1 << Math.floor(random() * 8)
    bytes[at] = (bytes[at] ?? 0) ^ bit
    writeFileSync(file, bytes)
    outcomes[await outcomeOf(folder, `bit ${bit} at ${at}`)] += 1
    rmSync(folder, { recursive: true })
  }
  console.log(`flipped bits: ${JSON.stringify(outcomes)}`)
  expect(outcomes.refused + outcomes.stopped).toBeGreaterThan(0)
})

async function outcomeOf(folder: string, what: string): Promise<'refused' | 'stopped' | 'harmless'> {
  const server = ServerProcess.spawn({ folder })
  const isUp = await server.port.then(
    () => true,
    () => false,
  )
  if (!isUp) {
    const { code, signal } = await server.ended
    expect({ what, code, signal }).toEqual({ what, code: 1, signal: null })
    expect(server.stderr).toMatch(/^sluice: .*damaged/m)
    return 'refused'
  }
  const found = await readAll(server)
  if (!server.hasEnded && found.length === MESSAGES) {
    const expected = Array.from({ length: MESSAGES }, (_, k) => bodyOf(k + 1))
    expect(found.sort(), what).toEqual(expected.sort())
    await server.end('SIGKILL')
    return 'harmless'
  }
  const { code, signal } = await Promise.race([server.ended, server.end('SIGTERM')])
  expect({ what, code, signal, found: found.length }).toEqual({ what, code: 74, signal: null, found: found.length })
  expect(server.stderr).toMatch(/"code":"damaged".*"event":"journal-failed"/)
  return 'stopped'
}

/** All bodies there are, or what came until the server ended. */
async function readAll(server: ServerProcess): Promise<string[]> {
  const client = await connect(await server.url(), { name: 'reader' })
  const found: string[] = []
  const over = new AbortController()
  void server.ended.then(() => over.abort())
  const timer = setTimeout(() => over.abort(), 20_000)
  try {
    const messages = client.queue<string>('q').consume({ prefetch: 60_000, signal: over.signal, barriers: false })
    for await (const message of messages) {
      if (message.kind === 'message') found.push(message.body)
      if (found.length === MESSAGES) break
    }
  } catch {
    // The server has ended; how, is looked at by whoever called.
  }
  clearTimeout(timer)
  await client.close()
  return found
}
