import { expect, onTestFinished, test } from 'vitest'
import * as exits from '../../clients/cli/src/exit.ts'
import { QUEUE_OPTIONS, SETTINGS, type Setting } from '../../src/config/settings.ts'
import { startMemoryServer } from '../../src/server.ts'
import { read } from './markdown.ts'

/** First two columns of the tables in a part of a document, for rows that begin with a name in backticks. */
function rows(text: string): [string, string][] {
  return [...text.matchAll(/^\| *`?([^|`]+?)`? *\| *(.+?) *\|/gm)]
    .map(([, name, value]): [string, string] => [name as string, (value as string).replace(/^`(.*)`$/, '$1')])
    .filter(([name]) => !/^-+$/.test(name))
}

function part(document: string, heading: string): string {
  const found = read(document)
    .split(/^##+ /m)
    .find(text => text.startsWith(`${heading}\n`))
  if (found === undefined) throw new Error(`${document} has no heading "${heading}"`)
  return found
}

/** Texts in quotes in a declaration of the SDK's. */
function quoted(file: string, pattern: RegExp): string[] {
  const text = pattern.exec(read(`clients/typescript/src/${file}`))?.[1] ?? ''
  return [...text.matchAll(/'([\w-]+)'/g)].map(([, name]) => name as string)
}

test('every setting of the server is told, with its default', () => {
  const told = rows(part('docs/configuration.md', 'Settings of the server')).slice(1)
  const settings = Object.values(SETTINGS) as Setting<unknown>[]
  expect(told.map(([name]) => name)).toEqual(settings.map(({ key }) => key))
  for (const [index, [name, text]] of told.entries()) {
    const { fallback, parse, fromText = (text: string) => text } = settings[index] as Setting<unknown>
    expect(text === '–' ? undefined : parse(fromText(text)), name).toEqual(fallback)
  }
})

test('every option of a queue is told, with its default', async () => {
  const told = rows(part('docs/configuration.md', 'Options of a queue')).slice(1)
  expect(told.map(([name]) => name)).toEqual(QUEUE_OPTIONS)
  const server = await startMemoryServer({})
  onTestFinished(() => server.close())
  const url = `${server.url.replace('ws', 'http')}/v1/queues/defaults`
  const { options } = (await (await fetch(url, { method: 'PUT' })).json()) as { options: Record<string, unknown> }
  for (const [name, text] of told) {
    const value = options[name] ?? (name === 'dead_letter' ? 'NAME.dead' : 'none')
    expect(text, name).toBe(typeof value === 'object' ? JSON.stringify(value) : String(value))
  }
})

test('every reason why a message holds its barrier is told, with what to do', () => {
  const told = rows(part('docs/troubleshooting.md', 'My barrier does not open')).slice(1)
  const reasons = quoted('batch.ts', /readonly reason:\n((?:.|\n)*?)\n {2}readonly/)
  expect(reasons.length).toBeGreaterThan(5)
  expect(told.map(([name]) => name)).toEqual(reasons)
})

test('every exit code is told', () => {
  const told = rows(part('docs/troubleshooting.md', 'Exit codes')).slice(1)
  const codes = Object.values(exits).filter(value => typeof value === 'number')
  expect(told.map(([code]) => Number(code))).toEqual(codes)
})

test('every event and every warning of a client is told', () => {
  const told = part('docs/sdk.md', 'Errors and events')
  const declared = /interface ClientEvents \{((?:.|\n)*?)\n\}/.exec(read('clients/typescript/src/events.ts'))?.[1] ?? ''
  const events = [...declared.matchAll(/^ {2}readonly '?([\w-]+)'?:/gm)].map(([, name]) => name as string)
  const warnings = quoted('events.ts', /interface Warning \{\n {2}readonly code: ([^\n]*)/)
  expect(events.length).toBeGreaterThan(5)
  expect(warnings.length).toBeGreaterThan(3)
  for (const name of [...events, ...warnings]) expect(told).toContain(`\`${name}\``)
})
