import { readCommandLine, UsageError } from '../support/command-line.ts'
import { Random } from '../support/random.ts'
import * as cases from './cases.ts'
import { someGarbage } from './garbage.ts'

const NAMES = ['idle', 'slow-consumer', 'fast-publisher', 'backlog', 'queues', 'files', 'garbage'] as const

const { name, values } = readCommandLine(
  {
    script: 'hurt',
    about: `Starts a server, hurts it in one way, and tells what became of it. The ways, and their sizes:

  idle            10000 connections that do nothing (ulimit -n must be larger), 4 storms of them
  slow-consumer   3 consumers that never read; 10 seconds
  fast-publisher  8 publishers in 256 MiB of heap; 600 seconds
  backlog         1000000 messages that wait
  queues          10000 queues
  files           256 open files of the server at most
  garbage         20 connections of garbage beside a steady load, 500 a second; 600 seconds`,
    options: {
      case: { kind: 'text', value: 'NAME', among: NAMES, text: 'the way; it must be given' },
      size: { kind: 'number', min: 1, text: 'of that (default: as above)' },
      seconds: { kind: 'number', isFraction: true, text: 'how long (default: as above)' },
      storms: { kind: 'number', min: 1, text: 'of idle connections, one after another (default: 4)' },
      rate: { kind: 'number', text: 'of the garbage, a second; 0 is as fast as it goes (default: 500)' },
      seed: { kind: 'number', text: 'of the garbage (default: by the clock)' },
    },
    examples: ['--case slow-consumer --size 10 --seconds 30'],
  },
  given => {
    const found = NAMES.find(one => one === given.case)
    if (found === undefined) throw new UsageError(`--case is missing; there are ${NAMES.join(', ')}`)
    return { name: found, values: given }
  },
)
const say = (line: string): void => console.error(`${new Date().toISOString()} ${line}`)
const size = (fallback: number): number => values.size ?? fallback
const seconds = (fallback: number): number => values.seconds ?? fallback

const CASES: Readonly<Record<(typeof NAMES)[number], () => Promise<object>>> = {
  idle: () => cases.idle({ connections: size(10_000), storms: values.storms ?? 4, say }),
  'slow-consumer': () => cases.slowConsumer({ consumers: size(3), seconds: seconds(10), say }),
  'fast-publisher': () =>
    cases.fastPublisher({ publishers: size(8), seconds: seconds(600), backlogBytesMax: 2 * 2 ** 30, say }),
  backlog: () => cases.backlog({ messages: size(1_000_000), say }),
  queues: () => cases.manyQueues({ queues: size(10_000), say }),
  files: () => cases.noFiles({ filesMax: size(256), say }),
  garbage: () => {
    const random = new Random(values.seed ?? Date.now() % 1_000_000)
    const makeGarbage = () => someGarbage(random)
    const perSecond = values.rate === 0 ? Number.POSITIVE_INFINITY : (values.rate ?? 500)
    return cases.garbage({ connections: size(20), perSecond, seconds: seconds(600), makeGarbage, say })
  },
}

console.log(JSON.stringify(await CASES[name](), undefined, 2))
