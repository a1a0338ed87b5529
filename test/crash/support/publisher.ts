import { ConnectionError, type Published, type Queue } from '@sluice/client'
import { ONCE, SIDE, WORK } from './queues.ts'
import type { Role } from './role.ts'
import { pick } from './seeded.ts'

/** Most publishes on their way; more would only make the drain longer. */
const AHEAD = 60

interface Body {
  readonly id: string
  readonly pad: string
}

/** Publishes in every way there is until it is told to stop; then returns once all of it is answered and every barrier released. */
export async function publish(role: Role): Promise<void> {
  const { name, random, stopping } = role
  const underWay = new Set<Promise<void>>()
  const waits: Promise<void>[] = []
  let next = 0
  const start = (act: Promise<void>) => {
    const tracked = act.finally(() => underWay.delete(tracked))
    underWay.add(tracked)
  }
  const messages = (count: number) =>
    Array.from({ length: count }, (): Body => {
      next += 1
      return { id: `${name}.${next}`, pad: padding(random) }
    })
  while (!stopping.isOver) {
    const act = pick(random, [
      [60, 'burst'],
      [12, 'atomic'],
      [12, 'once'],
      [8, 'accepted'],
      [4, 'barrier'],
    ])
    if (act === 'burst')
      for (const body of messages(1 + Math.floor(random() * 20))) start(single(role, WORK, body, 'durable'))
    else if (act === 'accepted') for (const body of messages(5)) start(single(role, SIDE, body, 'accepted'))
    else if (act === 'atomic') start(atomic(role, messages(2 + Math.floor(random() * 5))))
    else if (act === 'once') for (const body of messages(3)) start(twice(role, body))
    else {
      next += 1
      waits.push(barrier(role, `${name}.barrier-${next}`))
    }
    do await new Promise(resolve => setTimeout(resolve, 5 + random() * 30))
    while (underWay.size > AHEAD && !stopping.isOver)
  }
  await Promise.all(underWay)
  await Promise.all(waits)
}

/** Mostly small ones, and some that do not fit a page of the store. */
function padding(random: () => number): string {
  return 'x'.repeat(random() < 0.9 ? Math.floor(random() * 200) : Math.floor(random() * 30_000))
}

async function single(role: Role, queue: string, body: Body, level: 'durable' | 'accepted'): Promise<void> {
  const { id } = body
  role.notes.event({ type: 'publish-invoke', queue, id, level })
  await answered(
    role,
    queue,
    [id],
    async () => [await role.client.queue<Body>(queue).publish(body, { confirm: level })],
    { level },
  )
}

/** The same message twice, as a publisher does that lost its memory (P5). */
async function twice(role: Role, body: Body): Promise<void> {
  const { id } = body
  const queue: Queue<Body> = role.client.queue(ONCE)
  const once = async () => {
    role.notes.event({ type: 'publish-invoke', queue: ONCE, id, dedupe: true })
    await answered(role, ONCE, [id], async () => [await queue.publish(body, { messageId: id, dedupe: true })], {})
  }
  await once()
  if (role.random() < 0.5) await once()
}

/** Half of them to one queue, half to another: all are there or none (P4). */
async function atomic(role: Role, bodies: readonly Body[]): Promise<void> {
  const parts = bodies.map((body, place) => ({ queue: place % 2 === 0 ? WORK : SIDE, body }))
  const batch = bodies[0]!.id
  for (const { queue, body } of parts) role.notes.event({ type: 'publish-invoke', queue, id: body.id, batch })
  try {
    const published = await role.client.publishAtomic(parts)
    published.forEach(({ sequence }, place) => {
      const { queue, body } = parts[place]!
      role.notes.event({ type: 'publish-ok', queue, id: body.id, seq: sequence, batch, level: 'durable' })
    })
  } catch (error) {
    for (const { queue, body } of parts) role.notes.event({ type: unanswered(role, error), queue, id: body.id, batch })
  }
}

async function answered(
  role: Role,
  queue: string,
  ids: readonly string[],
  act: () => Promise<readonly Published[]>,
  more: { readonly level?: string },
): Promise<void> {
  try {
    const published = await act()
    published.forEach(({ sequence, duplicate }, place) => {
      role.notes.event({ type: 'publish-ok', queue, id: ids[place]!, seq: sequence, duplicate, ...more })
    })
  } catch (error) {
    for (const id of ids) role.notes.event({ type: unanswered(role, error), queue, id })
  }
}

/** The SDK goes on asking over every reconnect: it gives up only what the server refused. */
function unanswered(role: Role, error: unknown): 'publish-unknown' | 'publish-fail' {
  if (!(error instanceof ConnectionError)) role.notes.note({ note: 'wrong', what: `a publish was refused: ${error}` })
  return error instanceof ConnectionError ? 'publish-unknown' : 'publish-fail'
}

async function barrier({ client, notes }: Role, name: string): Promise<void> {
  notes.event({ type: 'barrier-publish-invoke', queue: WORK, id: name })
  try {
    const batch = await client.queue(WORK).barrier({ name })
    notes.event({ type: 'barrier-publish-ok', queue: WORK, id: name })
    notes.note({ note: 'waiting', name })
    const { outcome, stats } = await batch.wait({ timeoutMs: 120_000 })
    notes.note({ note: 'released', name, outcome, published: stats.published })
  } catch (error) {
    notes.note({ note: 'wrong', what: `barrier ${name}: ${error}` })
  }
}
