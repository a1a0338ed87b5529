import { ConnectionError, type Message, SluiceError } from '@sluice/client'
import { OUT, WORK } from './queues.ts'
import type { Role } from './role.ts'
import { pick } from './seeded.ts'

/** Consumes until it is told to stop: acks, nacks, releases, and turns some messages of `work` into ones of `out` (A4). */
export async function consume(role: Role): Promise<void> {
  const { client, notes, queue, random, stopping } = role
  const subscription = client.queue<{ readonly id: string }>(queue).consume({ prefetch: 20, concurrency: 4 })
  const settling = new Set<Promise<void>>()
  // Of a stopped process: what waited in its socket may be lost by the time it is read, and come again right behind.
  const held = new Map<number, Message<{ readonly id: string }>>()
  client.addEventListener('lease-lost', ({ detail: { sequence = 0 } }) => {
    const message = held.get(sequence)
    if (message !== undefined) notes.event({ type: 'lease-expired', queue, id: message.body.id })
  })
  void stopping.whenOver.then(() => subscription.stop())
  for await (const delivery of subscription) {
    if (delivery.kind === 'barrier') {
      const { name, sequence, batch, outcome, replayed } = delivery
      notes.event({
        type: 'barrier-deliver',
        queue,
        id: name,
        seq: sequence,
        batch_number: batch,
        outcome,
        replayed,
      })
      continue
    }
    const { sequence, batch, attempt, redelivered } = delivery
    const { id } = delivery.body
    notes.event({ type: 'deliver', queue, id, seq: sequence, batch_number: batch, attempt, redelivered })
    if (delivery.isSettled) notes.event({ type: 'lease-expired', queue, id })
    held.set(sequence, delivery)
    const waitMs = random() * 12
    const settled = new Promise(resolve => setTimeout(resolve, waitMs))
      .then(() => settle(role, delivery, id))
      .finally(() => {
        settling.delete(settled)
        if (held.get(sequence) === delivery) held.delete(sequence)
      })
    settling.add(settled)
  }
  await Promise.all(settling)
}

async function settle(role: Role, message: Message<unknown>, id: string): Promise<void> {
  const { queue, notes, random } = role
  // Lost, and perhaps here a second time: the history could not tell the two acks apart.
  if (message.isSettled) return
  const how = pick(random, [
    [60, 'ack'],
    [queue === WORK ? 25 : 0, 'carry'],
    [6, 'nack'],
    [3, 'release'],
  ])
  if (how === 'ack') return await ack(role, message, id)
  if (how === 'carry') return await carry(role, message, id)
  notes.event({ type: 'nack', queue, id })
  if (how === 'nack') await message.nack({ delayMs: Math.floor(random() * 50) })
  else await message.release()
}

async function ack({ queue, notes }: Role, message: Message<unknown>, id: string): Promise<void> {
  notes.event({ type: 'ack-invoke', queue, id })
  try {
    const result = await message.ack({ durable: true })
    notes.event({ type: result === 'lease-lost' ? 'ack-fail' : 'ack-ok', queue, id })
  } catch (error) {
    // Lost with its connection: it may have been carried out.
    if (!(error instanceof ConnectionError)) throw error
  }
}

/** The removal and the new message are one commit. The name tells the attempts apart: of one message one counts. */
async function carry({ queue, notes, name }: Role, message: Message<unknown>, id: string): Promise<void> {
  const out = `${id}>${name}.${message.attempt}.${message.sequence}.${Math.floor(performance.now())}`
  notes.event({ type: 'publish-invoke', queue: OUT, id: out })
  notes.event({ type: 'ack-invoke', queue, id })
  try {
    await message.ack({ publish: [{ queue: OUT, body: { id: out } }] })
    notes.event({ type: 'publish-ok', queue: OUT, id: out, level: 'durable' })
    notes.event({ type: 'ack-ok', queue, id })
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error
    if (error instanceof ConnectionError) return notes.event({ type: 'publish-unknown', queue: OUT, id: out })
    notes.event({ type: 'publish-fail', queue: OUT, id: out })
    notes.event({ type: error.code === 'already-settled' ? 'ack-ok' : 'ack-fail', queue, id })
    if (error.code !== 'lease-lost' && error.code !== 'already-settled')
      notes.note({ note: 'wrong', what: `an ack with a publish was refused: ${error}` })
  }
}
