import { spawnSync } from 'node:child_process'
import { closeSync, existsSync, openSync } from 'node:fs'
import { expect, test } from 'vitest'
import { jsonLog } from '../../src/observe/log.ts'

/** As built: it runs in processes of its own here. */
const LOG = new URL('../../dist/observe/log.js', import.meta.url).href

function logged(...given: Parameters<ReturnType<typeof jsonLog>['warn']>): string {
  const lines: string[] = []
  jsonLog(line => lines.push(line)).warn(...given)
  return lines.join('')
}

test('a line is one JSON object: time, level, event, and the facts beside them', () => {
  const line = logged('queue-updated', { queue: 'sales', count: 2, yes: true, no: undefined })
  expect(line).toMatch(/^[^\n]+\n$/)
  expect(JSON.parse(line)).toEqual({
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    level: 'warn',
    event: 'queue-updated',
    queue: 'sales',
    count: 2,
    yes: true,
  })
  expect(JSON.parse(logged('ready'))).toMatchObject({ level: 'warn', event: 'ready' })
})

test('a name forges no line, moves no cursor, formats nothing, and comes back as it was', () => {
  const name = 'a\n{"level":"error"}\u001b[2J\u009b2J\u2028\u202e%s %d"\\'
  const line = logged('operated', { name })
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  expect(line.slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u202e]/)
  expect(JSON.parse(line)).toMatchObject({ level: 'warn', event: 'operated', name })
})

test.each(['authorization', 'body', 'cookie', 'password', 'secret', 'token'])(
  'what is called %s is not written, whoever hands it over',
  fact => {
    const line = logged('operated', { [fact]: 'slc_0123456789', queue: 'q' })
    expect(line).not.toContain('0123456789')
    expect(JSON.parse(line)).toMatchObject({ [fact]: '[redacted]', queue: 'q' })
  },
)

/** Lines of a process that logs, and ends with the next statement. */
function ending(how: string, stderr: 'pipe' | number = 'pipe') {
  const script = `import(${JSON.stringify(LOG)}).then(({ jsonLog }) => {
    const log = jsonLog()
    for (let k = 1; k <= 100; k += 1) log.error('journal-failed', { k, reason: 'x'.repeat(200) })
    ${how}
  })`
  return spawnSync(process.execPath, ['-e', script], {
    stdio: ['ignore', 'pipe', stderr],
    encoding: 'utf8',
    timeout: 10_000,
  })
}

test.each([
  ['exit', 'process.exit(74)', { status: 74, signal: null }],
  ['SIGKILL', "process.kill(process.pid, 'SIGKILL')", { status: null, signal: 'SIGKILL' }],
])('P2: every line is out when the process ends by %s right after it', (_, how, ended) => {
  const { stderr, ...result } = ending(how)
  expect(result).toMatchObject(ended)
  const lines = stderr.split('\n').slice(0, -1)
  expect(lines.map(line => JSON.parse(line).k)).toEqual(Array.from({ length: 100 }, (_, k) => k + 1))
})

test.skipIf(!existsSync('/dev/full'))('a disk of the log that is full ends nothing', () => {
  const full = openSync('/dev/full', 'w')
  const { status, stdout } = ending("console.log('goes on'); setTimeout(() => process.exit(7), 50)", full)
  closeSync(full)
  expect({ status, stdout }).toEqual({ status: 7, stdout: 'goes on\n' })
})
