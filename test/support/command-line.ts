import { parseArgs } from 'node:util'

/** As of `sluice` (clients/cli/src/exit.ts): the command line cannot be understood. */
export const USAGE = 2

interface Described {
  /** What stands behind it in the help. */
  readonly text: string
}

/** Takes a number from `min` on (default 0), a whole one unless `isFraction`. */
interface NumberOption extends Described {
  readonly kind: 'number'
  readonly default?: number
  readonly min?: number
  readonly isFraction?: boolean
}

/** Takes a text, or one of those that are listed. */
interface TextOption extends Described {
  readonly kind: 'text'
  readonly value: string
  readonly default?: string
  readonly among?: readonly string[]
}

interface FlagOption extends Described {
  readonly kind: 'flag'
}

type Option = NumberOption | TextOption | FlagOption
type Options = Readonly<Record<string, Option>>

/** What a program of the harnesses takes, and what its help tells. */
export interface Program<O extends Options> {
  /** Name of the npm script. */
  readonly script: string
  readonly about: string
  readonly options: O
  readonly examples: readonly string[]
}

type ValueOf<T extends Option> = T extends FlagOption
  ? boolean
  : T extends { readonly default: infer D }
    ? D extends number
      ? number
      : string
    : (T extends NumberOption ? number : string) | undefined

type ValuesOf<O extends Options> = { readonly [K in keyof O]: ValueOf<O[K]> }

/** The command line cannot be understood. */
export class UsageError extends Error {}

/**
 * Reads the process's own command line; with `--help`, and when it cannot be understood, the process ends.
 *
 * @param make may throw a UsageError too
 */
export function readCommandLine<const O extends Options, T = ValuesOf<O>>(
  program: Program<O>,
  make: (values: ValuesOf<O>) => T = values => values as T,
): T {
  const { script } = program
  try {
    const values = readArguments(program, process.argv.slice(2))
    if (values !== 'help') return make(values)
    process.stdout.write(helpOf(program))
    process.exit(0)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`${script}: ${error.message}\nnpm run ${script} -- --help tells what there is\n`)
    process.exit(USAGE)
  }
}

/** @returns `help` when only that is asked for @throws UsageError */
export function readArguments<const O extends Options>(
  { options }: Program<O>,
  args: readonly string[],
): ValuesOf<O> | 'help' {
  const given = parse(options, args)
  if (given['help'] === true) return 'help'
  const values = Object.entries(options).map(([name, option]) => [name, readValue(name, option, given[name])])
  return Object.fromEntries(values) as ValuesOf<O>
}

function parse(options: Options, args: readonly string[]): Readonly<Record<string, string | boolean | undefined>> {
  const types = Object.entries(options).map(([name, { kind }]) => {
    const type = kind === 'flag' ? 'boolean' : 'string'
    return [name, { type }] as const
  })
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { ...Object.fromEntries(types), help: { type: 'boolean', short: 'h' } },
    })
    return values
  } catch (error) {
    // What follows its first sentence is about escaping.
    throw new UsageError((error as Error).message.split('. ')[0])
  }
}

function readValue(
  name: string,
  option: Option,
  given: string | boolean | undefined,
): string | number | boolean | undefined {
  if (option.kind === 'flag') return given === true
  if (typeof given !== 'string') return option.default
  if (option.kind === 'number') {
    const { min = 0, isFraction = false } = option
    const value = given.trim() === '' ? Number.NaN : Number(given)
    if (Number.isFinite(value) && value >= min && (isFraction || Number.isInteger(value))) return value
    throw new UsageError(`--${name} is a ${isFraction ? '' : 'whole '}number from ${min}, not "${given}"`)
  }
  if (option.among === undefined || option.among.includes(given)) return given
  throw new UsageError(`--${name}: there is no ${given}; there are ${option.among.join(', ')}`)
}

export function helpOf({ script, about, options, examples }: Program<Options>): string {
  const rows = Object.entries(options).map(([name, option]) => [headOf(name, option), textOf(option)] as const)
  const width = Math.max(...rows.map(([head]) => head.length))
  const lines = [...rows, ['--help', 'this text']].map(([head = '', text]) => `  ${head.padEnd(width)}   ${text}`)
  const shown = examples.map(example => `  $ npm run ${script} -- ${example}`.trimEnd())
  return `Usage: npm run ${script} -- [options]\n\n${about}\n\n${lines.join('\n')}\n\nExamples:\n${shown.join('\n')}\n`
}

function headOf(name: string, option: Option): string {
  if (option.kind === 'flag') return `--${name}`
  return `--${name} ${option.kind === 'number' ? 'N' : option.value}`
}

function textOf(option: Option): string {
  return option.kind === 'flag' || option.default === undefined
    ? option.text
    : `${option.text} (default: ${option.default})`
}
