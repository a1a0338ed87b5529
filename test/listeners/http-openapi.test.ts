import { readFileSync } from 'node:fs'
import path from 'node:path'
import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import { expect, test } from 'vitest'
import type { Principal } from '../../src/engine/principal.ts'
import { openApi } from '../../src/listeners/http/openapi.ts'
import { Parameters } from '../../src/listeners/http/parameters.ts'
import { STATUS_OF } from '../../src/listeners/http/problem.ts'
import { placesAt, ROUTES, type Route } from '../../src/listeners/http/routes.ts'
import { type Http, openEngine, type Shown, startHttp, startWithEngine } from './http-support.ts'

/*
 * What is written about the routes is so: the description is valid OpenAPI, every route answers as its schema says, reads
 * the parameters that are named, and asks for the right that is named.
 */

// biome-ignore lint/suspicious/noExplicitAny: a document of any shape; the tests say which
type Document = any

const DOCUMENT: Document = JSON.parse(JSON.stringify(openApi(ROUTES, '0.0.0')))

test('the description is valid OpenAPI 3.1', async () => {
  const validator = new Validator()
  const { valid, errors } = await validator.validate(structuredClone(DOCUMENT))
  expect(errors).toBeUndefined()
  expect(valid).toBe(true)
  expect(validator.version).toBe('3.1')
  // The validator can say no.
  const broken = structuredClone(DOCUMENT)
  delete broken.paths['/livez'].get.responses
  broken.paths['/livez'].get.parameters = [{ name: 'x' }]
  expect((await new Validator().validate(broken)).valid).toBe(false)
})

test('what is served is that description, with every route in it', async () => {
  const http = await startWithEngine()
  const { json, headers } = await http.call('GET', '/v1/openapi.json')
  expect(headers['content-type']).toBe('application/json')
  expect(json).toEqual(DOCUMENT)
  const served = Object.entries<object>(json.paths).flatMap(([at, methods]) =>
    Object.keys(methods).map(method => `${method.toUpperCase()} ${at}`),
  )
  expect(served.sort()).toEqual(ROUTES.map(nameOf).sort())
  const ids = ROUTES.map(({ method, path: at }) => json.paths[at][method.toLowerCase()].operationId)
  expect(new Set(ids).size).toBe(ROUTES.length)
  for (const id of ids) expect(id).toMatch(/^[a-z][A-Za-z0-9]+$/)
})

test('every schema is used, and every one named is there', () => {
  const text = JSON.stringify(DOCUMENT)
  const named = new Set([...text.matchAll(/#\/components\/schemas\/(\w+)/g)].map(([, name]) => name))
  expect([...named].sort()).toEqual(Object.keys(DOCUMENT.components.schemas).sort())
})

test('every status of a route is one that a refusal has', () => {
  const known = new Set<number>([...Object.values(STATUS_OF), 200, 201, 202, 204])
  for (const route of ROUTES) for (const status of route.statuses) expect(known, nameOf(route)).toContain(status)
})

function nameOf({ method, path: at }: Route): string {
  return `${method} ${at}`
}

/** No field may come that the schema does not name. */
function strict(schema: Document): Document {
  if (Array.isArray(schema)) return schema.map(strict)
  if (typeof schema !== 'object' || schema === null) return schema
  const copy = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, strict(value)]))
  const isClosed = schema.properties !== undefined && schema.additionalProperties === undefined
  return isClosed ? { ...copy, additionalProperties: false } : copy
}

const ajv = new Ajv2020({ strict: false, allErrors: true })
formats.default(ajv)
ajv.addSchema({ $id: 'sluice', ...strict({ components: DOCUMENT.components }) })

/** What checks an answer of a route. @returns undefined: it has no body */
function checkerOf({ method, path: at }: Route, status: number): ValidateFunction | undefined {
  const { content } = DOCUMENT.paths[at][method.toLowerCase()].responses[status] ?? {}
  if (content === undefined) return undefined
  const [schema] = Object.values<Document>(content).map(each => each.schema)
  return ajv.compile(JSON.parse(JSON.stringify(strict(schema)).replaceAll('"#/', '"sluice#/')))
}

interface Called {
  readonly route: Route
  readonly status: number
  readonly read: ReadonlySet<string>
}

/** Calls of a client, each held against the schema of its route and status. */
function checking(http: Http, calls: Called[]) {
  return async (method: string, at: string, body?: object | string, headers: Record<string, string> = {}) => {
    const segments = at.split('?')[0]!.split('/').map(decodeURIComponent)
    const route = placesAt(segments).find(({ route }) => route.method === method)!.route
    const read = new Set<string>()
    const texts = Parameters.prototype.texts
    Parameters.prototype.texts = function (name) {
      read.add(name)
      return texts.call(this, name)
    }
    const sent = typeof body === 'object' ? JSON.stringify(body) : body
    const answer = await http.call(method, at, { headers, ...(sent === undefined ? {} : { body: sent }) })
    Parameters.prototype.texts = texts
    calls.push({ route, status: answer.status, read })
    const check = checkerOf(route, answer.status)
    if (check === undefined) expect(answer.json, `${method} ${at}`).toBeUndefined()
    else expect(check(answer.json) ? [] : check.errors, `${method} ${at} ${JSON.stringify(answer.json)}`).toEqual([])
    return answer
  }
}

/** Their answers are text: http-metrics and http-events have their tests. */
const NOT_JSON = ['GET /metrics', 'GET /v1/queues/{queue}/events', 'GET /v1/queues/{queue}/barriers/{barrier}/events']
/** They need a desk, which judges by itself who may: http-tokens and backup have their tests. */
const WITH_DESK = ['GET /v1/tokens', 'POST /v1/tokens', 'DELETE /v1/tokens/{token}', 'POST /v1/server/backup']

test('every route answers as its schema says, also when it refuses, and reads the parameters that are named', async () => {
  const http = await startHttp(await openEngine(), { tokens: DESK })
  const calls: Called[] = []
  const call = checking(http, calls)
  const settle = (how: string, deliveries: readonly Shown[], more: object = {}) =>
    call('POST', `/v1/queues/Q/${how}`, {
      deliveries: deliveries.map(({ sequence, lease_token }) => ({ sequence, lease_token })),
      ...more,
    })
  const pull = async (query: string): Promise<Shown[]> =>
    (await call('POST', `/v1/queues/Q/deliveries?${query}`)).json.deliveries

  for (const at of ['/livez', '/readyz', '/v1/server', '/v1/openapi.json']) await call('GET', at)
  await call('PUT', '/v1/queues/Q', {
    barrier: '/end = 1',
    retry_delay: { base: '1s', factor: 2, jitter: true },
    dedupe_window: '1h',
    dead_letter: 'D',
  })
  await call('PUT', '/v1/queues/Q', {})
  await call('PUT', '/v1/queues/Q', { lease: '1s' })
  await call('PATCH', '/v1/queues/Q', { lease: '30s', bytes_max: '1GiB' })
  await call('GET', '/v1/queues')
  await call('GET', '/v1/queues/Q')
  await call('GET', '/v1/queues/none')
  await call('POST', '/v1/queues/Q/pause')
  await call('POST', '/v1/queues/Q/resume')

  await call('POST', '/v1/queues/Q/messages?confirm=accepted', '{"n":1}', {
    'idempotency-key': 'one',
    'content-type': 'application/json',
    'sluice-header-store': '17',
    'sluice-group': 'g',
    'sluice-priority': '2',
    'sluice-ttl': '1h',
    'sluice-correlation-id': 'c',
    'sluice-reply-to': 'r',
  })
  const ndjson = { 'content-type': 'application/x-ndjson' }
  await call('POST', '/v1/queues/Q/messages?atomic=true', '{"n":2}\n{"n":3}\n{"n":4}\n', ndjson)
  const enveloped = { 'content-type': 'application/x-ndjson; profile=envelope' }
  const envelope = { body_base64: 'AAE=', message_id: 'm', headers: { bytes: { base64: 'AAE=' } }, delay: '1h' }
  await call('POST', '/v1/queues/Q/messages?dedupe=true', `${JSON.stringify(envelope)}\n`, enveloped)
  await call('POST', '/v1/queues/Q/messages', '{"n":5}\nno\n', ndjson)
  await call('PUT', '/v1/queues/M', { semantics: 'at-most-once' })
  await call('POST', '/v1/queues/M/messages?confirm=none', 'x')
  await call('GET', '/v1/queues/Q/messages?state=ready&filter=%2Fn%20%3E%202&after=0&limit=10')
  await call('GET', '/v1/queues/Q/messages?filter=%2Fn%20%3E')
  await call('POST', '/v1/filters/test', { expression: '/n = 1', bodies: ['{"n":1}', 'x'] })
  await call('POST', '/v1/filters/test', { expression: '/n = 1', queue: 'Q' })

  const [a, b, c, d] = await pull('max=4&wait=0s&lease=1m&after_batch=0')
  await settle('nacks', [a!], { delay: '1h' })
  await settle('releases', [b!])
  await settle('rejects', [c!], { reason: 'broken' })
  await settle('extensions', [d!], { lease: '5m' })
  await call('GET', '/v1/queues/Q/messages')
  await settle('acks', [d!, { ...d!, lease_token: '9.9.9' }], {})
  const [again] = await pull('max=1&filter=%2Fn%20%3D%202')
  await settle('acks', [again!], { publish: [{ queue: 'Q', body: 'child' }] })
  await settle('acks', [again!], { publish: [{ queue: 'Q', body: 'child' }] })
  await call('GET', '/v1/queues/Q/dead?filter=%2Fn%20%3D%203&after=0&limit=5')
  await call('POST', '/v1/queues/Q/dead/requeue', { sequence: 99 })
  await call('GET', '/v1/queues/Q/dead?sequence=99&batch=none')
  await call('POST', '/v1/queues/Q/dead/requeue?filter=%2Fn%20%3D%203', {})
  await call('POST', '/v1/queues/Q/dead/requeue', { filter: '/n = 3' })
  await call('DELETE', '/v1/queues/Q/dead')

  const properties = 'name=eof&deadline=1h&rest=drop&parties=2&party=one'
  await call('POST', `/v1/queues/Q/barriers?${properties}`, '{"from":"one"}')
  await call('GET', '/v1/queues/Q/barriers/eof')
  await call('POST', `/v1/queues/Q/barriers?${properties.replace('=one', '=two')}`, '{"from":"two"}')
  await call('POST', '/v1/queues/Q/barriers?name=forwarded&forward=R', '{"is":2}')
  await call('GET', '/v1/queues/Q/barriers?state=waiting&bodies=true&after=0&limit=5')
  await call('GET', '/v1/queues/Q/barriers/eof/holdouts?after=0&limit=5')
  await call('GET', '/v1/queues/Q/barriers/eof/receipt')
  await call('POST', '/v1/queues/Q/barriers/eof/extend?deadline=2h')
  await call('GET', '/v1/queues/Q/barriers/none')
  await call('POST', '/v1/queues/Q/barriers/eof/cancel?rest=dead-letter')
  await call('GET', '/v1/queues/Q/barriers/eof?wait=10s')
  await call('GET', '/v1/queues/Q/barriers/eof/receipt')
  await call('GET', '/v1/queues/Q/barriers?bodies=true')
  await call('GET', '/v1/queues/Q/barriers')
  expect(await pull('max=10&after_batch=0')).toContainEqual(expect.objectContaining({ kind: 'barrier', name: 'eof' }))

  const { json } = await call('POST', '/v1/queues/Q/messages', 'x')
  const other = (await call('POST', '/v1/queues/Q/messages', 'y')).json.sequence
  await pull('max=10&ack=auto')
  const leased = (await call('POST', '/v1/queues/Q/messages', 'z')).json.sequence
  await pull('max=1')
  await call('POST', `/v1/queues/Q/messages/${leased}/release`)
  await call('POST', `/v1/queues/Q/messages/${leased}/dead-letter`)
  await call('GET', '/v1/queues/Q/dead')
  await call('DELETE', `/v1/queues/Q/messages/${other}`)
  const last = (await call('POST', '/v1/queues/Q/messages', 'w')).json.sequence
  await call('DELETE', `/v1/queues/Q/messages/${last}`)
  expect(json.sequence).toBeLessThan(other)
  await call('DELETE', '/v1/queues/Q/messages?leased=true')

  await call('GET', '/v1/connections')
  await call('DELETE', '/v1/connections/99')
  await call('DELETE', '/v1/queues/Q')

  const succeeded = new Set(calls.filter(({ status }) => status < 300).map(({ route }) => nameOf(route)))
  const expected = ROUTES.map(nameOf).filter(name => ![...NOT_JSON, ...WITH_DESK].includes(name))
  // Its success ends a connection: http-connections has the test.
  expect([...succeeded, 'DELETE /v1/connections/{connection}'].sort()).toEqual(expected.sort())
  expect(calls.some(({ status }) => status === 409) && calls.some(({ status }) => status === 422)).toBe(true)

  for (const route of new Set(calls.map(each => each.route))) {
    const read = new Set(calls.filter(each => each.route === route).flatMap(each => [...each.read]))
    const named = (route.parameters ?? []).filter(each => each.in === 'query').map(({ name }) => name)
    expect([...read].sort(), nameOf(route)).toEqual(named.sort())
  }
})

test('the routes of tokens and backups answer as their schemas say', async () => {
  const taken = { folder: '/b', bytes: 1, takenAt: '2026-11-21T00:00:00.000Z' }
  const http = await startHttp(await openEngine(), { tokens: DESK, backups: { take: async () => taken } })
  const call = checking(http, [])
  await call('GET', '/v1/tokens')
  const wish = { name: 't', grants: [{ queue: '*', rights: ['browse'], filter: '/a = 1' }] }
  expect((await call('POST', '/v1/tokens', wish)).status).toBe(201)
  await call('DELETE', '/v1/tokens/t')
  expect((await call('POST', '/v1/server/backup', { folder: '/b' })).status).toBe(201)
})

const TOKEN = {
  name: 't',
  grants: [{ queue: '*', rights: ['browse'], filter: '/a = 1' }],
  createdAt: 0,
  expiresAt: 1,
  storedBytesMax: 2 ** 30,
  storedBytes: 0,
  hasSecret: true,
}
const DESK = { list: () => [TOKEN], create: () => ({ token: TOKEN, secret: 's' }), revoke: () => 'revoked' as const }

test('every route asks for the right that is named: with one of them it goes on, with all others it is refused', async () => {
  const rights = ['publish', 'consume', 'browse', 'barrier', 'admin'] as const
  const holder = (name: string, allowed: readonly string[]): Principal => ({
    name,
    isAdmin: false,
    may: (_, right) => (allowed.includes(right) ? {} : undefined),
  })
  const holders = new Map<string, Principal>([['server', { ...holder('server', rights), isAdmin: true }]])
  for (const right of rights) {
    holders.set(right, holder(right, [right]))
  }
  holders.set('all', holder('all', rights))
  const engine = await openEngine()
  const http = await startHttp(engine, {
    doorkeeper: {
      login: ({ secret = '' }) => {
        const [name, ...without] = secret.split('-')
        const known = holders.get(name ?? '')
        if (known === undefined) return { code: 'unauthenticated', detail: 'who?' }
        const left = rights.filter(right => !without.includes(right))
        return without.length === 0 ? known : holder(secret, left)
      },
    },
  })
  const ask = async (route: Route, token: string | undefined): Promise<number> => {
    const at = route.path.replace('{queue}', 'Q').replace(/\{\w+\}/g, '7')
    const needed = (route.parameters ?? []).filter(each => each.required).map(({ name }) => `${name}=1s`)
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
    const body =
      route.path === '/v1/filters/test'
        ? '{"expression":"/a = 1","bodies":[]}'
        : /acks|releases|rejects$/.test(route.path)
          ? '{"deliveries":[]}'
          : route.path.endsWith('/extensions')
            ? '{"deliveries":[],"lease":"1s"}'
            : undefined
    // Some that may delete it.
    engine.declare('Q', {})
    const method = route.path.endsWith('/events') ? 'HEAD' : route.method
    const asked = { headers, ...(body === undefined ? {} : { body }) }
    return (await http.call(method, `${at}?${needed.join('&')}`, asked)).status
  }
  for (const route of ROUTES.filter(each => !WITH_DESK.includes(nameOf(each)))) {
    const name = nameOf(route)
    const { right } = route
    expect((await ask(route, undefined)) === 401, name).toBe(right !== 'none')
    if (right === 'none' || right === 'token') expect([401, 403], name).not.toContain(await ask(route, 'browse'))
    else if (right === 'server') {
      expect(await ask(route, 'all'), name).toBe(403)
      expect([401, 403], name).not.toContain(await ask(route, 'server'))
    } else {
      for (const one of right) expect([401, 403], `${name} with ${one}`).not.toContain(await ask(route, one))
      if (right.length < rights.length) expect(await ask(route, `all-${right.join('-')}`), name).toBe(403)
    }
  }
})

test('docs/http.md has a section for each route, with its parameters and an example', () => {
  const page = readFileSync(path.join(import.meta.dirname, '../../docs/http.md'), 'utf8')
  const sections = new Map(
    page
      .split(/^(?=#{2,3} )/m)
      .map(section => [/^#{2,3} `([^`]+)`/.exec(section)?.[1] ?? '', section] as const)
      .filter(([name]) => name !== ''),
  )
  expect([...sections.keys()].sort()).toEqual(ROUTES.map(nameOf).sort())
  for (const route of ROUTES) {
    const section = sections.get(nameOf(route)) ?? ''
    expect(section, nameOf(route)).toMatch(/```sh\n[^`]*curl /)
    const named = (route.parameters ?? []).filter(each => each.in === 'query')
    for (const { name } of named) expect(section, nameOf(route)).toContain(`\`${name}`)
  }
})
