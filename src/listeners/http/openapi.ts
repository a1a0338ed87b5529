import { STATUS_CODES } from 'node:http'
import type { Route } from './routes.ts'
import { type Content, type Parameter, ref, type Schema, TEXT } from './schema.ts'
import { SCHEMAS } from './schemas.ts'

/** What any request can meet, whatever its route: the door, the disk, a mistake of ours. */
const ALWAYS = [421, 500, 503]
/** Of requests that need a token. */
const ALWAYS_OF_THE_ASKED = [401, 403]

const PARAMETERS: Readonly<Record<string, string>> = {
  queue: 'Name of a queue; a `/` in it is written `%2F`',
  barrier: 'Name of a barrier, or `@` and its sequence number',
  sequence: 'Sequence number of a message',
  connection: 'Number of a connection',
  token: 'Name of a token',
}

/** The routes, for programs: OpenAPI 3.1. */
export function openApi(routes: readonly Route[], version: string): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const route of routes) {
    const operations = paths[route.path] ?? {}
    paths[route.path] = operations
    operations[route.method.toLowerCase()] = operation(route)
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Sluice',
      version,
      description:
        'A message queue with barriers. Errors are application/problem+json with a `code`; see docs/http.md.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ token: [] }, {}],
    paths,
    components: {
      schemas: SCHEMAS,
      securitySchemes: {
        token: { type: 'http', scheme: 'bearer', description: 'Where the server has `auth = "tokens"`' },
      },
    },
  }
}

function operation(route: Route): object {
  const { method, path, summary, right, parameters = [], body, answers } = route
  const named = path.split('/').filter(part => part.startsWith('{'))
  return {
    operationId: operationId(route),
    tags: [tagOf(path)],
    summary,
    description: needed(right),
    'x-sluice-right': right,
    ...(right === 'none' && { security: [] }),
    parameters: [...named.map(part => inPath(part.slice(1, -1))), ...parameters.map(shown)],
    ...(body && method !== 'GET' && { requestBody: { content: contentOf(body) } }),
    responses: responses(route, answers),
  }
}

function responses({ statuses, right }: Route, answers: Route['answers']): object {
  const all = new Set([...statuses, ...ALWAYS, ...(right === 'none' ? [] : ALWAYS_OF_THE_ASKED)])
  const entries = [...all]
    .sort((a, b) => a - b)
    .map(status => {
      const description = STATUS_CODES[status] ?? `${status}`
      const content = answers[status] ?? (status >= 400 ? { 'application/problem+json': ref('Problem') } : {})
      return [
        status,
        Object.keys(content).length === 0 ? { description } : { description, content: contentOf(content) },
      ]
    })
  return Object.fromEntries(entries)
}

function contentOf(content: Content): Record<string, { schema: Schema }> {
  return Object.fromEntries(Object.entries(content).map(([type, schema]) => [type, { schema }]))
}

function inPath(name: string): object {
  return { name, in: 'path', required: true, description: PARAMETERS[name] ?? name, schema: TEXT }
}

function shown({ name, in: where, description, schema, required }: Parameter): object {
  return { name, in: where, description, schema, ...(required && { required }) }
}

function needed(right: Route['right']): string {
  if (right === 'none') return 'Needs no token.'
  if (right === 'token') return 'Needs any token, and shows what it has a right to.'
  if (right === 'server') return 'Needs `admin` on `*`.'
  return `Needs ${right.map(each => `\`${each}\``).join(' or ')} on the queue.`
}

/** `GET /v1/queues/{queue}/barriers` is `getQueueBarriers`: what a generator calls its function. */
function operationId({ method, path }: Route): string {
  const parts = path
    .split('/')
    .filter(part => part !== '' && part !== 'v1')
    .map(part => (part.startsWith('{') ? `by-${part.slice(1, -1)}` : part))
  return [method.toLowerCase(), ...parts]
    .join('-')
    .replaceAll(/[^a-z0-9]+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
}

function tagOf(path: string): string {
  const [, first = '', second = '', , third] = path.split('/')
  if (first !== 'v1') return 'server'
  if (second !== 'queues') return second
  return third ?? 'queues'
}
