import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { ConfigError } from '../../src/config/config.ts'
import { loadConfig } from '../../src/config/load.ts'
import { shownAsToml } from '../../src/config/show.ts'
import { provideQueues } from '../../src/config/webhooks.ts'
import { testEngine } from '../support/engine.ts'

const SECRET = `whsec_${Buffer.alloc(24, 7).toString('base64')}`
const OTHER = `whsec_${Buffer.alloc(64, 8).toString('base64')}`

/** A file, and beside it what `hook.key` holds. */
function file(toml: string, key?: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-config-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  if (key !== undefined) writeFileSync(join(folder, 'hook.key'), key)
  const path = join(folder, 'sluice.toml')
  writeFileSync(path, toml.replaceAll('hook.key', join(folder, 'hook.key')))
  return path
}

function problems(toml: string, key?: string): readonly string[] {
  const path = file(toml, key)
  try {
    loadConfig({ file: path })
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(line => line.replaceAll(path.slice(0, -11), ''))
    throw error
  }
  return []
}

test('a webhook is read with its key from the file or from a file of its own', () => {
  const { config } = loadConfig({
    file: file(
      `[[webhook]]\nqueue = "a"\nurl = "https://hooks.example/x?y=1"\nsecret = "${SECRET}"
[[webhook]]\nqueue = "b"\nurl = "http://10.0.0.7:8080"\nsecret_file = "hook.key"\nconcurrency = 9\ntimeout = "1m"`,
      `${OTHER}\n\n  ${SECRET}\n`,
    ),
  })
  expect(config.webhooks).toMatchObject([
    { queue: 'a', concurrency: 4, timeoutMs: 10_000, secrets: [Buffer.alloc(24, 7)] },
    { queue: 'b', concurrency: 9, timeoutMs: 60_000, secrets: [Buffer.alloc(64, 8), Buffer.alloc(24, 7)] },
  ])
  expect(config.webhooks?.map(({ url }) => url.href)).toEqual(['https://hooks.example/x?y=1', 'http://10.0.0.7:8080/'])
})

test('what is wrong is told with its place, and no secret with it', () => {
  const webhook = (lines: string) => problems(`[[webhook]]\nqueue = "a"\n${lines}`)
  const url = 'url = "https://hooks.example/x"'
  expect(problems('webhook = "https://x"')).toEqual([
    'sluice.toml:1:1: a webhook is a table of its own, headed [[webhook]]',
  ])
  expect(problems('[[webhook]]')).toEqual([
    'sluice.toml:1:1: a webhook needs a queue',
    'sluice.toml:1:1: a webhook needs a url',
    'sluice.toml:1:1: a webhook needs a secret or a secret_file, and one of them',
  ])
  expect(webhook(`${url}\nsecret = "${SECRET}"\nsecret_file = "hook.key"`)[0]).toBe(
    'sluice.toml:5:1: a webhook needs a secret or a secret_file, and one of them',
  )
  expect(webhook(`${url}\nsekret = "${SECRET}"`)[0]).toMatch(
    /sluice.toml:4:1: unknown setting "sekret" \(did you mean "secret"\?\)/,
  )
  for (const secret of ['hunter2', 'whsec_c2hvcnQ=', `whsec_${Buffer.alloc(65).toString('base64')}`, `${SECRET} `]) {
    const told = webhook(`${url}\nsecret = "${secret}"`)
    expect(told).toHaveLength(1)
    expect(told[0]).toMatch(/^sluice.toml:4:1: secret: must be whsec_ and 24 to 64 bytes in base64/)
    expect(told[0]).not.toContain(secret)
  }
  for (const [wrong, why] of [
    ['hooks.example/x', 'must be a URL'],
    ['ftp://hooks.example/', 'must begin with https:// or http://'],
    ['https://ann:hunter2@hooks.example/', 'must have no user and password'],
    ['https://hooks.example/#hunter2', 'must have no fragment'],
  ]) {
    const told = webhook(`url = "${wrong}"\nsecret = "${SECRET}"`)
    expect(told).toMatchObject([expect.stringContaining(`sluice.toml:3:1: url: ${why}`)])
    expect(told[0]).not.toContain('hunter2')
  }
  expect(webhook(`${url}\nsecret = "${SECRET}"\nconcurrency = 101\ntimeout = "10m"`)).toEqual([
    'sluice.toml:5:1: concurrency: must be a number from 1 to 100',
    'sluice.toml:6:1: timeout: must be from 1s to 5m',
  ])
  expect(webhook(`${url}\nsecret = "${SECRET}"\n[[webhook]]\nqueue = "a"\n${url}\nsecret = "${SECRET}"`)).toEqual([
    'sluice.toml:5:1: queue "a" has its webhook at sluice.toml:1:1 already',
  ])
})

test('the file of keys has one to four, one a line; what it holds is not told', () => {
  const toml = '[[webhook]]\nqueue = "a"\nurl = "https://hooks.example/x"\nsecret_file = "hook.key"'
  expect(problems(toml)).toEqual(['sluice.toml:4:1: secret_file: cannot read hook.key: ENOENT'])
  for (const key of ['', '\n\n', Array(5).fill(SECRET).join('\n')])
    expect(problems(toml, key)).toEqual(['sluice.toml:4:1: secret_file: hook.key must have 1 to 4 secrets, one a line'])
  const told = problems(toml, `${SECRET}\nhunter2`)
  expect(told).toMatchObject([expect.stringContaining('secret_file: line 2 of hook.key must be whsec_')])
  expect(told[0]).not.toContain('hunter2')
})

test('a configuration that is shown has neither a key nor the path of a URL', () => {
  const toml = `[[webhook]]\nqueue = "a"\nurl = "https://hooks.example/T0/B1/hunter2"\nsecret = "${SECRET}"
[[webhook]]\nqueue = "b"\nurl = "https://b.example"\nsecret_file = "hook.key"`
  const path = file(toml, OTHER)
  const shown = shownAsToml(loadConfig({ file: path }))
  for (const secret of [SECRET, OTHER, 'hunter2']) expect(shown).not.toContain(secret)
  expect(shown).toContain('url = "https://hooks.example/…"\nsecret = "…"\nconcurrency = 4\ntimeout = "10s"')
  expect(shown).toContain('url = "https://b.example"\nsecret_file = ')
})

test('its queue is there from the start, and whoever declares it may still say how it is to be', async () => {
  const { engine } = await testEngine()
  const webhook = {
    queue: 'a',
    url: new URL('https://x.example'),
    secrets: [],
    concurrency: 1,
    timeoutMs: 1,
    place: 'f:1:1',
  }
  provideQueues(engine, [webhook, webhook])
  expect(engine.broker.queue('a')?.isImplicit).toBe(true)
  expect(engine.declare('a', { lease: '5s' })).toMatchObject({ created: false })
  expect(() => provideQueues(engine, [{ ...webhook, queue: '$a' }])).toThrow(
    'f:1:1: webhook: a queue name does not start',
  )
})
