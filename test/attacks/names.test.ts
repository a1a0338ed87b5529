import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ask, Native, startVictim } from './support.ts'

const path = (name: string) => `/v1/queues/${encodeURIComponent(name)}`
const JSON_TYPE = { 'content-type': 'application/json' }

describe('the name of a queue', () => {
  test.each<[string, string]>([
    ['a NUL', 'a\u0000b'],
    ['a line break', 'a\r\nX-Injected: 1'],
    ['an escape of a terminal', 'a\u001b[2Jb'],
    ['a C1 control', 'a\u009bb'],
    ['10 KB', 'x'.repeat(10_000)],
    ['more than 255 bytes', 'ü'.repeat(128)],
    ['one dot', '.'],
    ['two dots', '..'],
    ['a dollar in front: ours', '$SYS'],
    ['half a character', '\ud800'],
  ])('attack 15: with %s is refused, whatever door it comes to', async (_, name) => {
    const victim = await startVictim({ autoCreate: true })
    const target = name === '\ud800' ? '/v1/queues/%ED%A0%80' : path(name)
    for (const [method, suffix] of [
      ['PUT', ''],
      ['POST', '/messages'],
      ['GET', ''],
      ['POST', '/deliveries'],
    ] as const) {
      const { status } = await ask(victim, method, target + suffix, {
        headers: JSON_TYPE,
        body: method === 'PUT' ? '{}' : '',
      })
      expect([400, 404, 431], `${method} ${status}`).toContain(status)
    }
    for (const options of [{ dead_letter: name }, { forward_barrier: [name] }, { announce: name }]) {
      const body = JSON.stringify(options)
      expect((await ask(victim, 'PUT', '/v1/queues/q', { headers: JSON_TYPE, body })).status, body).toBe(400)
    }
    // Half a character cannot be written in UTF-8 by what encodes here.
    if (name.length < 1_000 && name !== '\ud800') {
      const native = await Native.welcomed(victim.url)
      const messages = Buffer.from('010000000078', 'hex').subarray(0, 5)
      native.send('publish', { queue: name, number: 1, answeredUpTo: 0, flags: 0, count: 1, messages })
      const ended = await Promise.race([native.next('refused'), native.next('goodbye')])
      expect(['invalid-request', 'no-such-queue', 'protocol-error']).toContain(ended.code)
    }
    expect((await ask(victim, 'GET', '/v1/queues')).json.queues).toEqual([])
  })

  test('attack 15: that is a path is a name like any other, and makes no file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'sluice-names-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const data = join(folder, 'data')
    const victim = await startVictim({ memory: false, data })
    const before = readdirSync(folder, { recursive: true }).length
    const names = [
      '../escaped',
      '/etc/passwd',
      '..\\..\\x',
      'a/b/c',
      'con',
      '%2e%2e%2f',
      'a;rm -rf /',
      '~',
      '*',
      '#',
      'a.>',
    ]
    for (const name of names) {
      expect((await ask(victim, 'PUT', path(name), { headers: JSON_TYPE, body: '{}' })).status, name).toBe(201)
      expect((await ask(victim, 'POST', `${path(name)}/messages`, { body: name })).status).toBe(201)
      expect((await ask(victim, 'GET', path(name))).json.name).toBe(name)
    }
    expect(readdirSync(folder, { recursive: true }).length).toBe(before)
    expect(existsSync(join(folder, 'escaped'))).toBe(false)
    const { json } = await ask(victim, 'GET', '/v1/queues')
    expect(json.queues.map((queue: { name: string }) => queue.name).sort()).toEqual([...names].sort())
  })

  test('attack 15: is taken as it is: what looks alike is another queue, and a wildcard is none', async () => {
    const victim = await startVictim()
    const names = ['sales', 'Sales', 'sаles', 'sales ', 'ſales', 'caf\u00e9', 'cafe\u0301', 'sales*', 'amq.sales']
    for (const name of names) {
      await ask(victim, 'PUT', path(name), { headers: JSON_TYPE, body: '{}' })
      expect((await ask(victim, 'POST', `${path(name)}/messages`, { body: name })).status).toBe(201)
    }
    for (const name of names) {
      const { json } = await ask(victim, 'POST', `${path(name)}/deliveries?max=10`)
      expect(json.deliveries.map((delivery: { body: string }) => delivery.body)).toEqual([name])
    }
    for (const wild of ['*', 'sal*', 'sales.>', '#', '%'])
      expect((await ask(victim, 'POST', `${path(wild)}/messages`, { body: 'x' })).status, wild).toBe(404)
  })
})
