import { PassThrough, Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { programOf } from '../../clients/cli/src/program.ts'
import { SERVE_HELP } from '../../src/config/flags.ts'

type Command = ReturnType<typeof programOf>

const io = { stdin: Readable.from([]), stdout: new PassThrough(), stderr: new PassThrough(), env: {} }

function helpOf(command: Command): string {
  let text = ''
  command.configureOutput({
    writeOut: more => {
      text += more
    },
  })
  command.outputHelp()
  return text
}

const commandsOf = (command: Command): Command[] => [command, ...command.commands.flatMap(commandsOf)]
const pathOf = (command: Command): string =>
  command.parent === null ? command.name() : `${pathOf(command.parent)} ${command.name()}`

test('the help of every command has examples, and says what each argument and option is', () => {
  const program = programOf(io, () => async () => {})
  const commands = commandsOf(program)
  expect(commands.length).toBeGreaterThan(35)
  for (const command of commands.filter(each => each.name() !== 'serve')) {
    const help = helpOf(command)
    expect(`${pathOf(command)}: ${help}`).toMatch(/Examples:\n[\s\S]*\$ \S/)
    expect(command.description(), pathOf(command)).not.toBe('')
    for (const option of command.options) expect(option.description, `${pathOf(command)} ${option.flags}`).not.toBe('')
  }
  expect(SERVE_HELP).toContain('Examples:\n  $ sluice serve')
})

test('the examples of the help name commands and options that there are', () => {
  const program = programOf(io, () => async () => {})
  const commands = commandsOf(program)
  const byPath = new Map(commands.map(command => [pathOf(command), command]))
  const examples = commands.flatMap(command => [...helpOf(command).matchAll(/(?:\$|&&|\|) (sluice [^|&\n]*)/g)])
  expect(examples.length).toBeGreaterThan(60)
  for (const [, line = ''] of examples) {
    const words = line.split(/\s+/)
    const path = [3, 2, 1].map(count => words.slice(0, count).join(' ')).find(each => byPath.has(each)) ?? ''
    const command = byPath.get(path)
    expect(command, line).toBeDefined()
    expect(command?.commands, `${line} stops before a command`).toEqual([])
    const known = [...(command?.options ?? []), ...program.options].map(({ long }) => long)
    for (const word of words) {
      const flag = /^--[a-z][a-z-]*/.exec(word)?.[0]
      if (flag !== undefined) expect(known, line).toContain(flag)
    }
  }
})
