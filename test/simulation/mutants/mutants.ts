/** A bug planted in a copy of the sources: a text that is there exactly once, and what stands there instead. */
export interface Mutant {
  readonly name: string
  readonly file: string
  readonly text: string
  readonly instead: string
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'a confirm does not wait for its commit',
    file: 'src/engine/engine.ts',
    text: 'this.#gate.pass(this.#appended, reply)',
    instead: 'this.#gate.pass(0, reply)',
  },
  {
    name: 'the gate opens a turn too early',
    file: 'src/engine/gate.ts',
    text: 'if (rests > this.#committed) {',
    instead: 'if (rests > this.#committed + 1) {',
  },
  {
    name: 'a commit tells of the turns that came while it was written',
    file: 'src/journal/table/table-journal.ts',
    text: 'else this.#committedUpTo(upTo, commit)',
    instead: 'else this.#committedUpTo(this.#appended, commit)',
  },
  {
    name: 'a failed commit passes as a success',
    file: 'src/journal/table/table-journal.ts',
    text: 'if (failure) this.#fail(failure)\n      else',
    instead: 'if (failure && failure.code !== "commit-failed") this.#fail(failure)\n      else',
  },
  {
    name: 'the clean mark stays when a server starts',
    file: 'src/journal/table/table-journal.ts',
    text: 'await this.#writeNow([formatRow, startRow(this.#start, false)])',
    instead: 'await this.#writeNow([formatRow, startRow(this.#start, true)])',
  },
  {
    name: 'what was settled of a row that stays is not written',
    file: 'src/journal/table/ledger.ts',
    text: 'for (const first of queue.shrunk) writes.push(',
    instead: 'if (rows.length > 0) for (const first of queue.shrunk) writes.push(',
  },
  {
    name: 'a dead letter stays in its old queue on disk',
    file: 'src/journal/table/ledger.ts',
    text: '    this.#add(to, infoOf({ first: toSequence, count: 1, batch: toBatch, at }, runs, record), record, runs)\n    this.#settle(queue, sequence, 1)',
    instead:
      '    this.#add(to, infoOf({ first: toSequence, count: 1, batch: toBatch, at }, runs, record), record, runs)',
  },
  {
    name: 'an emptied row keeps its row of settled messages',
    file: 'src/journal/table/ledger.ts',
    text: 'if (row.flags & HAS_SETTLED_ROW) this.#remove(',
    instead: 'if (row.flags & HAS_RETURNED_ROW) this.#remove(',
  },
  {
    name: 'a deleted queue has no mark while rows of it are left',
    file: 'src/journal/table/ledger.ts',
    text: 'this.#draft({ key: deletedKey(id), note: {} })',
    instead: 'void deletedKey(id)',
  },
  {
    name: 'a checksum is not looked at',
    file: 'src/journal/table/row-codec.ts',
    text: 'if (row.length < HEAD_BYTES || checksum(key, row) !== row.readUInt32LE(1)) {',
    instead: 'if (row.length < HEAD_BYTES) {',
  },
  {
    name: 'sequence numbers begin again behind what is live',
    file: 'src/core/restoring.ts',
    text: 'queue.nextSequence = Math.max(queue.nextSequence, fact.nextSequence)',
    instead: 'queue.nextSequence = Math.max(queue.nextSequence, 1)',
  },
  {
    name: 'a crash leaves no mark on what may have been delivered',
    file: 'src/core/restoring.ts',
    text: 'delivered: !this.#isClean || first + count <= queue.suspectBelow,',
    instead: 'delivered: false,',
  },
  {
    name: 'message ids are forgotten at a restart',
    file: 'src/core/restoring.ts',
    text: 'queue.dedupe.restore(fact.id, { sequence: fact.sequence, batch: fact.batch, at: fact.at })',
    instead: 'void fact',
  },
  {
    name: 'producer numbers are forgotten at a restart',
    file: 'src/core/restoring.ts',
    text: 'queue.producers.restore(fact)',
    instead: 'void fact',
  },
  {
    name: 'accepted numbers that a crash took leave a gap',
    file: 'src/core/numbering.ts',
    text: 'const last = isKnown ? Math.max(producers.last(producer), Math.min(answeredUpTo, number - 1)) : number - 1',
    instead: 'const last = isKnown ? producers.last(producer) : number - 1',
  },
  {
    name: 'an accepted publish is refused before that is on disk',
    file: 'src/engine/party.ts',
    text: "'refusal' in answer ? number === undefined : answer.isEarly === true",
    instead: "'refusal' in answer ? number !== 0 : answer.isEarly === true",
  },
  {
    name: 'the answer given again does not say duplicate',
    file: 'src/core/numbering.ts',
    text: 'duplicate: answer.duplicate ?? false,',
    instead: 'duplicate: false,',
  },
  {
    name: 'a barrier is released while one message is live',
    file: 'src/core/releases.ts',
    text: 'if (batch.barrier === undefined || batch.live > 0) return false',
    instead: 'if (batch.barrier === undefined || batch.live > 1) return false',
  },
  {
    name: 'a barrier is sent before its release is on disk',
    file: 'src/core/releases.ts',
    text: "turn.perform({ kind: 'barrier', rests: turn.number, subscription, record, replayed: false })",
    instead: "turn.perform({ kind: 'barrier', rests: 0, subscription, record, replayed: false })",
  },
  {
    name: 'what is behind a barrier does not wait for its release to be on disk',
    file: 'src/core/releases.ts',
    text: 'queue.openedIn = turn.number',
    instead: 'queue.openedIn = 0',
  },
  {
    name: 'the last subscription is not told of a barrier',
    file: 'src/core/releases.ts',
    text: 'for (const subscription of queue.consumers.all) {\n        if (',
    instead: 'for (const subscription of [...queue.consumers.all].slice(0, 2)) {\n        if (',
  },
  {
    name: 'barriers that a consumer missed are not replayed',
    file: 'src/core/barriers.ts',
    text: 'const records = released === 0 ? [] : [...this.#records.values()].slice(-released)',
    instead: 'const records = released === 0 ? [] : [...this.#records.values()].slice(-released).slice(1)',
  },
  {
    name: 'work that makes work joins the open batch',
    file: 'src/core/broker.ts',
    text: 'target.arrivals.publish(turn, judged, target === queue ? batch : undefined)',
    instead: 'target.arrivals.publish(turn, judged, undefined)',
  },
  {
    name: 'an ack counts before what it carries is published',
    file: 'src/core/broker.ts',
    text: '    if (refusal !== undefined) return { results: [], refusal }\n    const published: PublishAnswer[] = []',
    instead:
      '    if (refusal !== undefined && claims.length > 1) return { results: [], refusal }\n    const published: PublishAnswer[] = []',
  },
  {
    name: 'a subscription may have one more than its prefetch',
    file: 'src/core/subscription.ts',
    text: 'return Math.max(0, this.prefetch - this.used)',
    instead: 'return Math.max(0, this.prefetch + 1 - this.used)',
  },
  {
    name: 'a settle wakes nobody',
    file: 'src/core/settling.ts',
    text: '    this.#queue.consumers.changed(subscription)\n    return results',
    instead: '    return results',
  },
  {
    name: 'a connection that ends keeps the last message it had',
    file: 'src/core/returns.ts',
    text: 'for (let held = subscription.held.first; held !== undefined; held = subscription.held.first) {',
    instead:
      'for (let held = subscription.held.first; held !== undefined && subscription.held.size > 1; held = subscription.held.first) {',
  },
  {
    name: 'a returned message is not marked',
    file: 'src/core/returns.ts',
    text: '    run.delivered = true\n    if (run.expiresAt',
    instead: '    if (run.expiresAt',
  },
  {
    name: 'a pull whose time is over goes on behind a release that is not on disk',
    file: 'src/engine/pull.ts',
    text: 'if (turn > committed || this.subscription.predicate?.matchesBarrier(record) !== false) return record.batch',
    instead: 'if (turn < 0) return record.batch',
  },
  {
    name: 'a barrier goes to subscriptions whose filter it does not match',
    file: 'src/core/releases.ts',
    text: 'if (subscription.isClosed || subscription.predicate?.matchesBarrier(record) === false) continue',
    instead: 'if (subscription.isClosed) continue',
  },
  {
    name: 'a party that comes twice counts twice',
    file: 'src/core/placing.ts',
    text: "if (arrived.has(party)) return 'duplicate'",
    instead: "if (arrived.has(party) && party === '') return 'duplicate'",
  },
  {
    name: 'the rest of a batch is dropped that was to be dead-lettered',
    file: 'src/core/endings.ts',
    text: "if (rest === 'drop') this.#queue.finish(turn, now, run, 'dropped')",
    instead: "if (rest !== 'carry') this.#queue.finish(turn, now, run, 'dropped')",
  },
  {
    name: 'leases do not run out',
    file: 'src/core/returns.ts',
    text: 'held !== undefined && held.deadline <= now; held = leases.first',
    instead: 'held !== undefined && held.deadline <= now - 3_600_000; held = leases.first',
  },
  {
    name: 'the next of a group goes out beside its head',
    file: 'src/core/groups.ts',
    text: 'run.isHead = group === undefined\n',
    instead: 'run.isHead = group === undefined || group.waiting.size > 1\n',
  },
  {
    name: 'a group stands still when its head is gone',
    file: 'src/core/groups.ts',
    text: 'const run = group?.waiting.first\n',
    instead: 'const run = group !== undefined && group.waiting.size > 2 ? undefined : group?.waiting.first\n',
  },
  {
    name: 'at most once: what comes and goes in one turn has no bytes',
    file: 'src/engine/engine.ts',
    text: '    const result = command(turn, now)\n',
    instead: '    const result = command(turn, now)\n    this.bodies.decided = []\n',
  },
  {
    name: 'unacked_max is one too many',
    file: 'src/core/dispatch.ts',
    text: 'const unackedMax = queue.options.unackedMax ?? Number.POSITIVE_INFINITY',
    instead: 'const unackedMax = (queue.options.unackedMax ?? Number.POSITIVE_INFINITY) + 1',
  },
  {
    name: 'a silent peer is never given up',
    file: 'src/listeners/native/heartbeat.ts',
    text: '>= 2 * this.#intervalMs) return this.#silent()',
    instead: '>= 2_000 * this.#intervalMs) return this.#silent()',
  },
  {
    name: 'a closed socket leaves its peer behind',
    file: 'src/listeners/native/connection.ts',
    text: 'if (this.#finish()) this.#peer?.close()',
    instead: 'this.#finish()',
  },
  {
    name: 'SDK: what was not confirmed is not sent again',
    file: 'clients/typescript/src/lane.ts',
    text: '  resume(): void {\n    this.#sent = 0',
    instead: '  resume(): void {\n    this.#sent = Math.min(this.#sent, 1)',
  },
  {
    name: 'SDK: a reconnect gives new numbers',
    file: 'clients/typescript/src/lane.ts',
    text: 'if (frame.first === 0) {\n      frame.first = this.#nextNumber',
    instead: 'if (frame.first === 0 || this.#sent === 0) {\n      frame.first = this.#nextNumber',
  },
  {
    name: 'SDK: acks of a lost connection go over the next one',
    file: 'clients/typescript/src/settles.ts',
    text: '  drop(): void {\n    this.#acks.take()',
    instead: '  drop(): void {',
  },
  {
    name: 'SDK: what waited in the buffer is handed out after a reconnect',
    file: 'clients/typescript/src/subscription.ts',
    text: '  lost(): void {\n    this.#discard()',
    instead: '  lost(): void {',
  },
  {
    name: 'SDK: a reconnect does not say in which batch it was',
    file: 'clients/typescript/src/subscription.ts',
    text: 'const afterBatch = this.#batch === undefined ? 0 : this.#batch + 1',
    instead: 'const afterBatch = 0',
  },
  {
    name: 'a barrier that is announced is announced twice',
    file: 'src/core/broker.ts',
    text: '    this.#announcing.released(turn, now, queue, record)',
    instead:
      '    this.#announcing.released(turn, now, queue, record)\n    this.#announcing.released(turn, now, queue, record)',
  },
  {
    name: 'only barriers that are clean are announced',
    file: 'src/core/announcing.ts',
    text: 'if (name === undefined) return',
    instead: 'if (name === undefined || record.outcome !== "clean") return',
  },
  {
    name: 'what is announced is not written with its release',
    file: 'src/core/announcing.ts',
    text: 'to.arrivals.publish(turn, {',
    instead: 'to.arrivals.publish(Object.assign(Object.create(turn), { facts: [] }), {',
  },
]
