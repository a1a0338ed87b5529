import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { explain } from '../../clients/cli/src/explain.ts'
import { shellOf } from '../../clients/cli/src/io.ts'
import { ERROR_CODES, type ErrorCode } from '../../clients/typescript/src/error-codes.ts'
import { SluiceError } from '../../clients/typescript/src/errors.ts'
import { REFUSALS } from '../../protocol/src/refusals.ts'
import { STATUS_OF } from '../../src/listeners/http/problem.ts'
import { read } from './markdown.ts'

const PAGE = read('docs/errors.md')
const STATUSES: Readonly<Record<string, number>> = STATUS_OF
const [refusals = '', ofTheSdk = '', byHttp = ''] = PAGE.split(/^## /m).slice(1)

/** Headings of a part with the line of facts below each. */
function entries(part: string): [string, string][] {
  return [...part.matchAll(/^### ([\w-]+)\n\n_(.*)_\n\n\S.*\n\n\*\*Do:\*\* \S/gm)].map(([, code, facts]) => [
    code as string,
    facts as string,
  ])
}

/** The exit code of the command line for an error with a code. */
function exitOf(code: string): number {
  const stream = Object.assign(new Readable({ read() {} }), { write: () => true, end: () => {} })
  const io = { stdin: stream, stdout: stream, stderr: stream, env: {} } as unknown as Parameters<typeof shellOf>[0]
  return explain(new SluiceError(code as ErrorCode, ''), shellOf(io, {})).exitCode
}

test('every refusal is told, with its scope, whether later helps, its HTTP status and its exit code, and what to do', () => {
  const expected = Object.entries(REFUSALS).map(([code, { scope, retry }]) => {
    const http = STATUSES[code] === undefined ? 'not by HTTP' : `HTTP ${STATUSES[code]}`
    return [code, `${scope} · ${retry} · ${http} · exit ${exitOf(code)}`]
  })
  expect(entries(refusals)).toEqual(expected)
})

test('every code of the SDK is told', () => {
  const own = Object.entries(ERROR_CODES).filter(([, { from }]) => from === 'sdk')
  const codes = own.map(([code]) => code)
  expect(codes.length).toBeGreaterThan(5)
  expect(entries(ofTheSdk).map(([code]) => code)).toEqual(codes)
})

test('every code that only HTTP has is told with its status', () => {
  const expected = Object.keys(STATUSES).filter(code => !Object.hasOwn(REFUSALS, code))
  const rows = [...byHttp.matchAll(/^\| `([\w-]+)` *\| (\d+) *\| \S/gm)].map(([, code, status]) => [
    code,
    Number(status),
  ])
  expect(rows.sort()).toEqual(expected.map(code => [code, STATUSES[code]]).sort())
})
