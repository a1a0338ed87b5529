/**
 * Histories of runs: what each run against a server writes down, and who judges it.
 *
 * A history is one JSON object a line; the events are in `events.ts`. To record and judge at once:
 *
 *     const checker = new HistoryChecker({ routes: [{ from: 'q', to: 'q.dead' }], leaseMs: { q: 900 } })
 *     const file = historyFile('run.ndjson')
 *     const recorder = new HistoryRecorder(event => { file.write(event); checker.take(event) })
 *     recorder.record({ type: 'publish-invoke', process: 'p1', queue: 'q', id: 7 })
 *     …
 *     const report = checker.finish()
 *     if (report.verdict !== 'pass') throw new Error(reportAsText(report))
 *
 * or later, from the file: `for await (const event of readHistory('run.ndjson')) checker.take(event)`.
 *
 * What a recorder must do, or the verdict means nothing:
 *
 * - `*-invoke` before the bytes leave; `*-ok`, `deliver`, `barrier-deliver` after they were read; `subscribe` after the
 *   server's answer, and again after each reconnect; `disconnect` and `unsubscribe` before the client acts, or when it
 *   notices; `server-kill` before the signal.
 * - A lost connection or a time-out while a confirm is awaited is `publish-unknown` (or nothing, if the client goes on
 *   asking); `publish-fail` says: surely not stored.
 * - An ack whose answer nobody asked for is `ack-invoke` alone. `already-settled` counts as `ack-ok`, `lease-lost` as
 *   `ack-fail`. Events come from one place in the order in which they happened.
 * - Ids are unique in a run; the id is in the body. Barriers have ids of their own.
 * - The run ends with a drain: no faults, everything consumed, nothing more coming. Dead-letter queues too, if routes
 *   name them: else what is in them counts as lost.
 * - `seq` and `batch_number` wherever the protocol tells them, `attempt` on deliveries: runs without find less.
 * - A purge is a `discard` without an id, before it is asked for and again after its answer: whatever was there may be gone.
 *
 * An empty history does not pass: its verdict is `empty`.
 */
export { type CheckerOptions, HistoryChecker } from './checker.ts'
export type { Happening, HistoryEvent } from './events.ts'
export { HistoryRecorder, historyFile, readHistory } from './recorder.ts'
export { type HistoryReport, reportAsText } from './report.ts'
