import { mkdirSync, writeFileSync } from 'node:fs'
import { DEFAULT_OPTIONS } from '../../../src/core/options.ts'
import type { Command, Setting } from './commands.ts'
import { Drive } from './drive.ts'
import { Play } from './play.ts'
import { shorten } from './shorten.ts'

/** Git-ignored: what is found there is for whoever looks into it, who makes a named test of it. */
const FOLDER = 'test/core/model/failures'

/** Carries the commands out on the core and on the model, until everything is empty. @throws on the first difference */
export function play(setting: Setting, commands: readonly Command[], trace?: string[]): Drive {
  const drive = new Drive()
  drive.trace = trace
  const play = new Play(drive, setting)
  for (const command of commands) play.play(command)
  play.finish()
  return drive
}

/** What is to be known of a failure, with a short test that shows it; that one is saved too. */
export function failureOf(setting: Setting, commands: readonly Command[], replay: string, runs: number): string {
  const ruleOf = (given: Setting, some: readonly Command[]) => whyNot(given, some)?.message.split(':')[0]
  const rule = ruleOf(setting, commands)
  let plain = setting
  for (const queue of ['orders', 'other'] as const)
    for (const key of Object.keys(setting[queue])) {
      const { [key]: _, ...rest } = { ...plain[queue] } as Record<string, unknown>
      const plainer = { ...plain, [queue]: { ...DEFAULT_OPTIONS, ...rest } }
      if (ruleOf(plainer, commands) === rule) plain = plainer
    }
  const short = shorten(commands, some => ruleOf(plain, some))
  const error = whyNot(plain, short)
  const lines = short.map(command => `    ${JSON.stringify(command, withoutDefaults)},`)
  const test = [
    "import { test } from 'vitest'",
    "import { withDefaults } from '../../../../src/core/declaring.ts'",
    "import { play } from '../failure.ts'",
    '',
    `// ${replay}`,
    `test(${JSON.stringify(error?.message ?? rule ?? '')}, () => {`,
    `  const orders = withDefaults(${JSON.stringify(plain.orders, withoutDefaults)})`,
    `  const other = withDefaults(${JSON.stringify(plain.other, withoutDefaults)})`,
    '  play({ orders, other }, [',
    ...lines,
    '  ])',
    '})',
    '',
  ].join('\n')
  mkdirSync(FOLDER, { recursive: true })
  const file = `${FOLDER}/seed-${/SEED=(\d+)/.exec(replay)?.[1]}.test.ts`
  writeFileSync(file, test)
  return `after ${runs} runs: ${error?.stack}\n\n${test}\nsaved as ${file}`
}

function whyNot(setting: Setting, commands: readonly Command[]): Error | undefined {
  try {
    play(setting, commands)
    return undefined
  } catch (error) {
    return error as Error
  }
}

/** Options that are as they are anyway are left out. */
function withoutDefaults(this: unknown, _key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('barriersMax' in value)) return value
  const defaults = DEFAULT_OPTIONS as unknown as Record<string, unknown>
  return Object.fromEntries(
    Object.entries(value).filter(([key, field]) => JSON.stringify(field) !== JSON.stringify(defaults[key])),
  )
}
