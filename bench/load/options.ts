import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { readCommandLine, UsageError } from '../../test/support/command-line.ts'
import { BODY_BYTES_MIN, type Codec } from './bodies.ts'
import type { Fault } from './job.ts'
import type { Length } from './measure.ts'
import { SYSTEMS } from './systems/index.ts'
import { GROUPS, USUAL, WORKLOADS } from './workloads/index.ts'

const CODECS = ['bytes', 'json'] as const
const FAULTS = ['lose', 'repeat'] as const

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

/** The options of the process's own command line; with `--help`, and when they cannot be understood, the process ends. */
export function readOptions(): Options {
  return readCommandLine(
    {
      script: 'bench',
      about: 'Measures what a client sees; bench/README.md tells what the workloads are.',
      options: {
        systems: { kind: 'text', value: 'LIST', default: 'sluice', text: Object.keys(SYSTEMS).join(', ') },
        workloads: {
          kind: 'text',
          value: 'LIST',
          default: USUAL.join(),
          text: 'W1 … W7, W9, W10, or a part of W9 or W10 by its name',
        },
        body: { kind: 'text', value: 'LIST', default: '100', text: 'bytes of a body' },
        codec: { kind: 'text', value: 'NAME', default: 'bytes', among: CODECS, text: 'bytes or json' },
        window: { kind: 'number', min: 1, default: 1_000, text: 'publishes unconfirmed at once' },
        prefetch: { kind: 'number', min: 1, default: 100, text: 'deliveries unsettled at once, for each consumer' },
        consumers: { kind: 'number', min: 1, default: 4, text: 'each on a connection of its own' },
        seconds: { kind: 'number', min: 0.01, isFraction: true, text: 'how long is measured (default: 5)' },
        messages: {
          kind: 'number',
          min: 1,
          text: 'measure so many messages instead; the backlog of W2 and W6, the batch of W7 (default: 200000)',
        },
        warmup: { kind: 'number', isFraction: true, default: 1, text: 'seconds before' },
        rounds: { kind: 'number', min: 1, default: 3, text: 'of everything, one after the other' },
        data: {
          kind: 'text',
          value: 'DIR',
          default: tmpdir(),
          text: 'where servers keep their files: on the disk to be measured',
        },
        'cpu-prof': {
          kind: 'text',
          value: 'DIR',
          text: 'CPU profiles of server and load client, and where their time went',
        },
        out: {
          kind: 'text',
          value: 'DIR',
          text: 'where the results go (default: bench/results)',
        },
        name: { kind: 'text', value: 'NAME', text: 'the results are DATE-NAME.json (default: systems and workloads)' },
        plant: {
          kind: 'text',
          value: 'FAULT',
          among: FAULTS,
          text: 'lose or repeat: one message goes wrong, the check must find it',
        },
      },
      examples: ['--workloads W1,W3 --body 100,1024 --rounds 5', '--systems sluice,redis --workloads W1,W2,W3'],
    },
    values => {
      const systems = values.systems.split(',').map(name => oneOf('systems', name, Object.keys(SYSTEMS)))
      const known = [...Object.keys(WORKLOADS), ...Object.keys(GROUPS)]
      const { window, prefetch, consumers, rounds } = values
      return {
        systems,
        workloads: values.workloads.split(',').flatMap(name => GROUPS[name] ?? [oneOf('workloads', name, known)]),
        bodies: values.body.split(',').map(bodyBytes),
        codec: oneOf('codec', values.codec, CODECS),
        window,
        prefetch,
        consumers,
        length: lengthOf(values.seconds, values.messages),
        warmupSeconds: values.warmup,
        rounds,
        dataFolder: values.data,
        profileFolder: values['cpu-prof'],
        outFolder: values.out ?? fileURLToPath(new URL('../results', import.meta.url)),
        name: values.name ?? [...systems, ...values.workloads.split(',')].join('-'),
        plant: values.plant === undefined ? undefined : oneOf<Fault>('plant', values.plant, FAULTS),
      }
    },
  )
}

function lengthOf(seconds: number | undefined, messages: number | undefined): Length {
  if (messages === undefined) return { seconds: seconds ?? 5 }
  if (seconds !== undefined) throw new UsageError('--seconds and --messages exclude each other')
  return { messages }
}

function oneOf<T extends string>(option: string, value: string, known: readonly T[]): T {
  const found = known.find(name => name === value)
  if (found === undefined) throw new UsageError(`--${option}: there is no ${value}; there are ${known.join(', ')}`)
  return found
}

function bodyBytes(text: string): number {
  const bytes = Number(text)
  if (Number.isInteger(bytes) && bytes >= BODY_BYTES_MIN) return bytes
  throw new UsageError(`--body is a list of whole numbers from ${BODY_BYTES_MIN}, not ${text}`)
}
