import { readCommand } from './body.ts'
import type { Exchange, Reply } from './exchange.ts'
import { accepted, badRequest } from './problem.ts'
import type { Route } from './routes.ts'
import { BOOLEAN, INTEGER, json, listOf, object, TEXT } from './schema.ts'

/** Most bodies that one test looks at. */
const BODIES_MAX = 1_000
const TEST_BYTES_MAX = 4 * 1024 * 1024

export const FILTER_ROUTES: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/filters/test',
    summary: 'Which of these bodies, or of the messages of a queue, an expression matches',
    statuses: [200, 400, 404, 408, 413, 415, 422],
    right: 'token',
    body: json(object({ expression: TEXT }, { bodies: listOf(TEXT), queue: TEXT })),
    answers: {
      200: json({
        anyOf: [
          object({ results: listOf(BOOLEAN) }),
          object({ tested: INTEGER, matched: INTEGER, first: listOf(INTEGER) }),
        ],
      }),
    },
    handle: test,
  },
]

async function test(exchange: Exchange): Promise<Reply> {
  exchange.query.end()
  const command = await readCommand(exchange, TEST_BYTES_MAX)
  const expression = command.needed('expression', command.text('expression'))
  const bodies = command.texts('bodies', BODIES_MAX)
  const queue = command.text('queue')
  command.end()
  const { engine } = exchange.connection
  if (bodies !== undefined && queue === undefined) {
    const results = accepted(
      engine.testFilter(
        expression,
        bodies.map(body => Buffer.from(body)),
      ),
    )
    return { status: 200, json: { results } }
  }
  if (queue !== undefined && bodies === undefined) {
    const { tested, matched, first } = accepted(exchange.connection.peer.testFilter(expression, queue))
    return { status: 200, json: { tested, matched, first } }
  }
  throw badRequest('bodies or queue is needed, and only one of them', { field: 'bodies' })
}
