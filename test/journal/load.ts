import { openLmdbJournal } from '../../src/journal/lmdb/lmdb-journal.ts'
import { enqueued, settled } from './support.ts'

/*
 * A process under load, to be killed: turn 1 publishes messages 1 to 10, turn 2 settles 4 to 8, turn 3 publishes 11 to
 * 20, and so on, a few turns ahead of the disk.
 */

const AHEAD = 50

async function run(): Promise<void> {
  const journal = await openLmdbJournal({ folder: process.argv[2]! })
  for await (const _ of journal.restore());
  let turn = 0
  const publish = (upTo: number): void => {
    while (turn < upTo + AHEAD) {
      const first = (turn >> 1) * 10 + 1
      turn++
      journal.append(turn, [turn % 2 === 1 ? enqueued(1, first, 10) : settled(1, first + 3, 5)])
    }
  }
  let toldAfter = 0
  let hasFailed = false
  journal.onCommitted(upTo => {
    if (hasFailed) toldAfter++
    console.log(`committed ${upTo}`)
    publish(upTo)
  })
  journal.onFailed(reason => {
    hasFailed = true
    console.log(`failed ${reason.code} ${reason.message}`)
    publish(turn)
    setTimeout(() => console.log(`told after: ${toldAfter}`), 100)
    setInterval(() => {}, 1_000)
  })
  publish(0)
}

run().catch(error => {
  console.error(error)
  process.exitCode = 1
})
