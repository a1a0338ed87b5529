import { once } from 'node:events'
import { bodiesOf } from './bodies.ts'
import { type Job, RESTART, type Report, type Restarted } from './job.ts'
import { Ledger } from './ledger.ts'
import { measure } from './measure.ts'
import { withFault } from './plant.ts'
import type { Connection } from './system.ts'
import { echo } from './systems/echo.ts'
import { SYSTEMS } from './systems/index.ts'
import { readUsage } from './usage.ts'
import { BASELINE, WORKLOADS } from './workloads/index.ts'

/** The load client: a process of its own for each run. Whatever goes wrong in it ends it, and with it the run; it does not outlive the main process. */
process.once('disconnect', () => process.exit())
const [job] = (await once(process, 'message')) as [Job]
process.send!(await run(job))
process.disconnect()

async function run({ system, workload, load, ...server }: Job): Promise<Report> {
  const { connect, heapBytes } = SYSTEMS[system] ?? echo
  const work = WORKLOADS[workload] ?? BASELINE
  let { address, serverPids } = server
  const ledger = new Ledger()
  const connections: Connection[] = []
  const measured = await work({
    load,
    ledger,
    bodies: bodiesOf(load.codec, load.bodyBytes),
    measure: (counter, length = load.length) =>
      measure(counter, serverPids, length, heapBytes && (() => heapBytes(address))),
    usage: () => readUsage(serverPids),
    async restart() {
      await Promise.all(connections.splice(0).map(connection => connection.close()))
      process.send!(RESTART)
      const [restarted] = (await once(process, 'message')) as [Restarted]
      ;({ address, serverPids } = restarted)
      return restarted
    },
    async connect() {
      const connection = await connect(address, load)
      connections.push(connection)
      return load.plant === undefined ? connection : withFault(connection, load.plant)
    },
  })
  await Promise.all(connections.map(connection => connection.close()))
  return { ...measured, checked: ledger.publishedCount, problems: ledger.problems() }
}
