import { parseArgs } from 'node:util'
import { Random } from '../support/random.ts'
import * as cases from './cases.ts'
import { someGarbage } from './garbage.ts'

const USAGE = `npm run hurt -- --case NAME [--size N] [--seconds N] [--storms N] [--rate N] [--seed N]

  idle            size 10000: connections that do nothing (ulimit -n must be larger); storms 4
  slow-consumer   size 3: consumers that never read; seconds 10
  fast-publisher  size 8: publishers in 256 MiB of heap; seconds 600
  backlog         size 1000000: messages that wait
  queues          size 10000: queues
  files           size 256: most open files of the server
  garbage         size 20: connections of garbage beside a steady load; seconds 600; rate 500, or Infinity`

const { values } = parseArgs({
  options: {
    case: { type: 'string' },
    size: { type: 'string' },
    rate: { type: 'string' },
    seconds: { type: 'string' },
    storms: { type: 'string' },
    seed: { type: 'string' },
  },
})
const say = (line: string): void => console.error(`${new Date().toISOString()} ${line}`)
const size = (fallback: number): number => Number(values.size ?? fallback)
const seconds = (fallback: number): number => Number(values.seconds ?? fallback)

const CASES: Readonly<Record<string, () => Promise<object>>> = {
  idle: () => cases.idle({ connections: size(10_000), storms: Number(values.storms ?? 4), say }),
  'slow-consumer': () => cases.slowConsumer({ consumers: size(3), seconds: seconds(10), say }),
  'fast-publisher': () =>
    cases.fastPublisher({ publishers: size(8), seconds: seconds(600), backlogBytesMax: 2 * 2 ** 30, say }),
  backlog: () => cases.backlog({ messages: size(1_000_000), say }),
  queues: () => cases.manyQueues({ queues: size(10_000), say }),
  files: () => cases.noFiles({ filesMax: size(256), say }),
  garbage: () => {
    const random = new Random(Number(values.seed ?? Date.now() % 1_000_000))
    const makeGarbage = () => someGarbage(random)
    const perSecond = Number(values.rate ?? 500)
    return cases.garbage({ connections: size(20), perSecond, seconds: seconds(600), makeGarbage, say })
  },
}

const run = CASES[values.case ?? '']
if (run) console.log(JSON.stringify(await run(), undefined, 2))
else {
  console.log(USAGE)
  process.exitCode = 64
}
