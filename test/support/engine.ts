import { ByteWriter, encodeMessage, MessageCursor, type MessageProperties } from '@sluice/protocol'
import { type VirtualClock, virtualClock } from '../../src/engine/clock.ts'
import { Engine } from '../../src/engine/engine.ts'
import type { Outbox, Peer, PublishAnswer, PublishCommand, SettleAnswer } from '../../src/engine/peer.ts'
import { Pressure } from '../../src/engine/pressure.ts'
import type { AuditEntry, Principal } from '../../src/engine/principal.ts'
import type { JournalFailure } from '../../src/journal/journal.ts'
import { type MemoryJournal, memoryJournal } from '../../src/journal/memory.ts'

export interface TestEngine {
  readonly engine: Engine
  readonly journal: MemoryJournal
  readonly clock: VirtualClock
  readonly failures: JournalFailure[]
  readonly pressure: Pressure
  readonly audited: AuditEntry[]
}

/** The real engine on a journal that commits when told, and on a clock that stands still. */
export async function testEngine(
  options: {
    journal?: MemoryJournal
    clock?: VirtualClock
    messageMax?: number
    autoCreate?: boolean
    isClosedToStrangers?: boolean
  } = {},
): Promise<TestEngine> {
  const journal = options.journal ?? memoryJournal({ manual: true })
  const clock = options.clock ?? virtualClock()
  const failures: JournalFailure[] = []
  const pressure = new Pressure(clock)
  const audited: AuditEntry[] = []
  const engine = new Engine({
    journal,
    clock,
    messageMax: options.messageMax ?? 1024 * 1024,
    frameMessagesMax: 10_000,
    autoCreate: options.autoCreate ?? false,
    pressure,
    isClosedToStrangers: options.isClosedToStrangers ?? false,
    onAudit: entry => audited.push(entry),
    onFatal: reason => failures.push(reason),
  })
  await engine.open()
  journal.commitAll()
  return { engine, journal, clock, failures, pressure, audited }
}

/** Lets what is to be done soon be done. */
export async function soon(): Promise<void> {
  for (let k = 0; k < 5; k += 1) await Promise.resolve()
}

/** A peer that writes down what it is told, as text. */
export class TestPeer implements Outbox {
  readonly peer: Peer
  readonly heard: string[] = []
  full = false

  constructor(engine: Engine, name: string, producer?: string, principal?: Principal) {
    this.peer = engine.attach(producer === undefined ? { name, principal } : { name, producer, principal }, this)
  }

  /** What it was told since it was asked last. */
  take(): string[] {
    return this.heard.splice(0)
  }

  deliver({ subscription, delivery, count, bytes, attempt, redelivered }: Parameters<Outbox['deliver']>[0]): void {
    const bodies = bytes.flatMap(piece => bodiesOf(piece))
    this.heard.push(
      `${subscription}: ${delivery}+${count} ${bodies.join(' ')}${redelivered ? ` again, attempt ${attempt}` : ''}`,
    )
  }
  barrier({ subscription, record, replayed }: Parameters<Outbox['barrier']>[0]): void {
    this.heard.push(
      `${subscription}: barrier ${record.name ?? `@${record.sequence}`} ${record.outcome}${replayed ? ' replayed' : ''}`,
    )
  }
  leaseLost(subscription: number, { first, count }: { first: number; count: number }): void {
    this.heard.push(`${subscription}: lost ${first}+${count}`)
  }
  cancelled(subscription: number, why: { code: string }): void {
    this.heard.push(`${subscription}: cancelled ${why.code}`)
  }
  closed(why: { code: string }): void {
    this.heard.push(`closed ${why.code}`)
  }
  isFull(): boolean {
    return this.full
  }
  pressure(on: boolean, reason: string): void {
    this.heard.push(on ? `stop: ${reason}` : 'go on')
  }

  publish(
    queue: string,
    bodies: readonly (string | readonly [string, MessageProperties])[],
    more: Partial<PublishCommand> = {},
  ): void {
    const { bytes, count } = records(bodies)
    this.peer.publish({ queue, bytes, count, ...more }, answers => this.heard.push(...answers.map(answerAsText)))
  }

  ack(
    subscription: number,
    first: number,
    count = 1,
    more: { publish?: { queue: string; bodies: string[] } } = {},
  ): void {
    const publish =
      more.publish === undefined ? undefined : [{ queue: more.publish.queue, ...records(more.publish.bodies) }]
    const command = {
      subscription,
      deliveries: [{ first, count }],
      how: { kind: 'ack' } as const,
      ...(publish === undefined ? {} : { publish }),
    }
    this.peer.settle(command, answer => this.heard.push(...settledAsText(answer)))
  }
}

export function records(bodies: readonly (string | readonly [string, MessageProperties])[]): {
  bytes: Uint8Array
  count: number
} {
  const writer = new ByteWriter()
  for (const body of bodies) {
    const [text, properties] = typeof body === 'string' ? [body, undefined] : body
    encodeMessage(writer, properties, new TextEncoder().encode(text))
  }
  return { bytes: writer.take(), count: bodies.length }
}

function bodiesOf(bytes: Uint8Array): string[] {
  const found: string[] = []
  for (const cursor = new MessageCursor().open(bytes); cursor.next(); )
    found.push(new TextDecoder().decode(cursor.body()))
  return found
}

export function answerAsText(answer: PublishAnswer): string {
  const range = answer.count === 1 ? `${answer.index}` : `${answer.index}…${answer.index + answer.count - 1}`
  return 'refusal' in answer ? `refused ${range}: ${answer.refusal.code}` : `confirmed ${range} as ${answer.sequence}`
}

function settledAsText(answer: SettleAnswer): string[] {
  if (answer.refusal !== undefined) return [`refused: ${answer.refusal.code}`]
  return answer.results.map(({ first, count, result }) => `settled ${first}+${count} ${result}`)
}
