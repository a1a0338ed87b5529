import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { BODY_BYTES_MIN, type Codec } from './bodies.ts'
import type { Fault } from './job.ts'
import type { Length } from './measure.ts'
import { SYSTEMS } from './systems/index.ts'
import { GROUPS, USUAL, WORKLOADS } from './workloads/index.ts'

export const HELP = `Usage: npm run bench -- [options]

  --systems LIST     ${Object.keys(SYSTEMS).join(', ')} (default: sluice)
  --workloads LIST   W1 … W7, W9, W10, or a part of W9 or W10 by its name (default: ${USUAL.join(', ')})
  --body LIST        bytes of a body (default: 100)
  --codec NAME       bytes or json (default: bytes)
  --window N         publishes unconfirmed at once (default: 1000)
  --prefetch N       deliveries unsettled at once, for each consumer (default: 100)
  --consumers N      each on a connection of its own (default: 4)
  --seconds N        how long is measured (default: 5)
  --messages N       measure so many messages instead; the backlog of W2 and W6, the batch of W7 (default: 200000)
  --warmup N         seconds before (default: 1)
  --rounds N         (default: 3)
  --data DIR         where servers keep their files: on the disk to be measured (default: ${tmpdir()})
  --cpu-prof DIR     CPU profiles of server and load client, and where their time went
  --out DIR          where the results go (default: bench/results)
  --name NAME        the results are DATE-NAME.json (default: systems and workloads)
  --plant FAULT      lose or repeat: one message goes wrong, the check must find it
  --help             this text
`

export interface Options {
  readonly systems: readonly string[]
  readonly workloads: readonly string[]
  readonly bodies: readonly number[]
  readonly codec: Codec
  readonly window: number
  readonly prefetch: number
  readonly consumers: number
  readonly length: Length
  readonly warmupSeconds: number
  readonly rounds: number
  readonly dataFolder: string
  readonly profileFolder: string | undefined
  readonly outFolder: string
  readonly name: string
  readonly plant: Fault | undefined
}

/** @returns `help` when only the help was asked for @throws Error with what cannot be understood */
export function readOptions(args: readonly string[]): Options | 'help' {
  const string = { type: 'string' } as const
  const { values } = parseArgs({
    args: [...args],
    options: {
      systems: { ...string, default: 'sluice' },
      workloads: { ...string, default: USUAL.join() },
      body: { ...string, default: '100' },
      codec: { ...string, default: 'bytes' },
      window: { ...string, default: '1000' },
      prefetch: { ...string, default: '100' },
      consumers: { ...string, default: '4' },
      seconds: string,
      messages: string,
      warmup: { ...string, default: '1' },
      rounds: { ...string, default: '3' },
      data: { ...string, default: tmpdir() },
      'cpu-prof': string,
      out: { ...string, default: fileURLToPath(new URL('../results', import.meta.url)) },
      name: string,
      plant: string,
      help: { type: 'boolean' },
    },
  })
  if (values.help) return 'help'
  const systems = values.systems.split(',').map(name => oneOf('systems', name, Object.keys(SYSTEMS)))
  const workloads = values.workloads
    .split(',')
    .flatMap(name => GROUPS[name] ?? [oneOf('workloads', name, [...Object.keys(WORKLOADS), ...Object.keys(GROUPS)])])
  return {
    systems,
    workloads,
    bodies: values.body.split(',').map(size => count('body', size, BODY_BYTES_MIN)),
    codec: oneOf('codec', values.codec, ['bytes', 'json']),
    window: count('window', values.window),
    prefetch: count('prefetch', values.prefetch),
    consumers: count('consumers', values.consumers),
    length: lengthOf(values.seconds, values.messages),
    warmupSeconds: number('warmup', values.warmup, 0),
    rounds: count('rounds', values.rounds),
    dataFolder: values.data,
    profileFolder: values['cpu-prof'],
    outFolder: values.out,
    name: values.name ?? [...systems, ...values.workloads.split(',')].join('-'),
    plant: values.plant === undefined ? undefined : oneOf<Fault>('plant', values.plant, ['lose', 'repeat']),
  }
}

function lengthOf(seconds: string | undefined, messages: string | undefined): Length {
  if (messages === undefined) return { seconds: number('seconds', seconds ?? '5', 0.01) }
  if (seconds !== undefined) throw new Error('--seconds and --messages exclude each other')
  return { messages: count('messages', messages) }
}

function oneOf<T extends string>(option: string, value: string, known: readonly T[]): T {
  const found = known.find(name => name === value)
  if (found === undefined) throw new Error(`--${option}: there is no ${value}; there are ${known.join(', ')}`)
  return found
}

function count(option: string, value: string, min = 1): number {
  const counted = number(option, value, min)
  if (!Number.isInteger(counted)) throw new Error(`--${option} is a whole number, not ${value}`)
  return counted
}

function number(option: string, value: string, min: number): number {
  const read = Number(value)
  if (!(read >= min) || read === Number.POSITIVE_INFINITY)
    throw new Error(`--${option} is a number from ${min}, not ${value}`)
  return read
}
