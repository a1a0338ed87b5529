import { expect, test } from 'vitest'
import { helpOf, readArguments, UsageError } from './command-line.ts'

const PROGRAM = {
  script: 'try',
  about: 'Tries.',
  options: {
    rounds: { kind: 'number', min: 1, default: 100, text: 'how many' },
    minutes: { kind: 'number', isFraction: true, text: 'how long' },
    plant: { kind: 'text', value: 'NAME', among: ['lose', 'repeat'], text: 'what goes wrong' },
    folder: { kind: 'text', value: 'DIR', default: '.', text: 'where' },
    verbose: { kind: 'flag', text: 'says more' },
  },
  examples: ['--rounds 7'],
} as const

test('without options there are the defaults', () => {
  const values = { rounds: 100, minutes: undefined, plant: undefined, folder: '.', verbose: false }
  expect(readArguments(PROGRAM, [])).toEqual(values)
})

test('options are read as what they are', () => {
  const args = ['--rounds', '7', '--minutes=0.5', '--plant', 'lose', '--folder', '/data', '--verbose']
  const values = { rounds: 7, minutes: 0.5, plant: 'lose', folder: '/data', verbose: true }
  expect(readArguments(PROGRAM, args)).toEqual(values)
})

test.each([
  [['--rouds', '7'], "Unknown option '--rouds'"],
  [['seven'], "Unexpected argument 'seven'"],
  [['--rounds', 'seven'], '--rounds is a whole number from 1, not "seven"'],
  [['--rounds', '0'], '--rounds is a whole number from 1, not "0"'],
  [['--rounds', '1.5'], '--rounds is a whole number from 1, not "1.5"'],
  [['--minutes', ''], '--minutes is a number from 0, not ""'],
  [['--plant', 'win'], '--plant: there is no win; there are lose, repeat'],
])('%j cannot be understood, and what is wrong is told', (args, message) => {
  expect(() => readArguments(PROGRAM, args)).toThrow(UsageError)
  expect(() => readArguments(PROGRAM, args)).toThrow(message)
})

test.each(['--help', '-h'])(
  '%s asks for the help, which has the options with their defaults, and an example',
  asked => {
    expect(readArguments(PROGRAM, ['--rounds', 'seven', asked])).toBe('help')
    expect(helpOf(PROGRAM)).toBe(`Usage: npm run try -- [options]

Tries.

  --rounds N     how many (default: 100)
  --minutes N    how long
  --plant NAME   what goes wrong
  --folder DIR   where (default: .)
  --verbose      says more
  --help         this text

Examples:
  $ npm run try -- --rounds 7
`)
  },
)
