import { Argument, Command, type Option } from 'commander'
import type { Act } from './act.ts'
import { DONE } from './exit.ts'
import { ask, type Document, queuePath, withQuery } from './http.ts'
import { type Shell, write } from './io.ts'

/** The first word of a command line that asks what its last word could be. Only the scripts below say it. */
export const COMPLETE = '__complete'

/** Nobody waits longer for a key: what the server has not said by then is left out. */
const ASK_TIMEOUT_MS = 300
const BARRIERS_MAX = 100
/** Said in place of words: the shell completes names of files. */
const FILES = ':files'
/** Names of options and arguments that stand for queues. */
const QUEUES: readonly string[] = ['queue', '--queue', '--dead-letter', '--forward-barrier', '--announce']
const BARRIERS: readonly string[] = ['barrier', '--batch', '--until-barrier']

const SCRIPTS = {
  bash: `# sluice: completion for bash. Each key asks the program, so it knows the queues there are.
_sluice() {
  local words=() word last index answer line
  for ((index = 1; index <= COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    last=$((\${#words[@]} - 1))
    # bash breaks words at = and :, we do not.
    if ((last >= 0)) && [[ $word == [=:]* || \${words[last]} == --*= || \${words[last]} == *: ]]; then
      words[last]+=$word
    else
      words+=("$word")
    fi
  done
  local current=\${words[\${#words[@]} - 1]} own=\${COMP_WORDS[COMP_CWORD]}
  [[ $own == [=:]* ]] && own=
  local before=\${current%"$own"}
  COMPREPLY=()
  while IFS= read -r line; do
    line=\${line%%$'\\t'*}
    if [[ $line == ${FILES} ]]; then
      compopt -o default
      return
    fi
    # What has blanks or more in it is typed as it must be.
    [[ $line == -* ]] || printf -v line %q "$line"
    COMPREPLY+=("\${line#"$before"}")
  done < <("\${COMP_WORDS[0]}" ${COMPLETE} "\${words[@]}" 2>/dev/null)
}
complete -F _sluice sluice
`,
  zsh: `#compdef sluice
# sluice: completion for zsh. Each key asks the program, so it knows the queues there are.
_sluice() {
  local -a lines names texts
  lines=("\${(@f)$($words[1] ${COMPLETE} "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ $lines[1] == ${FILES} ]]; then
    _files
    return
  fi
  local line
  for line in $lines; do
    names+=("\${line%%$'\\t'*}")
    texts+=("\${line//$'\\t'/  -- }")
  done
  compadd -l -d texts -a names
}
compdef _sluice sluice
`,
  fish: `# sluice: completion for fish. Each key asks the program, so it knows the queues there are.
function __sluice_complete
    set -l words (commandline -opc)
    set -l lines ($words[1] ${COMPLETE} $words[2..] (commandline -ct) 2>/dev/null)
    if test "$lines[1]" = ${FILES}
        __fish_complete_path (commandline -ct)
    else
        printf '%s\\n' $lines
    end
end
complete -c sluice -f -a '(__sluice_complete)'
`,
} as const

export function completionCommand(act: Act): Command {
  return new Command('completion')
    .summary('a script that completes commands, options, queues and barriers')
    .description(
      'Prints a script for your shell. It asks the server for the names of queues and barriers, and waits 300 ms.',
    )
    .addArgument(new Argument('<shell>', 'bash, zsh or fish').choices(Object.keys(SCRIPTS)))
    .addHelpText('after', EXAMPLES)
    .action(
      act(async (shell, [name]) => {
        await write(shell.io.stdout, SCRIPTS[name as keyof typeof SCRIPTS])
        return DONE
      }),
    )
}

const EXAMPLES = `
Examples:
  $ sluice completion bash > /etc/bash_completion.d/sluice
  $ echo 'source <(sluice completion bash)' >> ~/.bashrc
  $ sluice completion zsh > "\${fpath[1]}/_sluice"
  $ sluice completion fish > ~/.config/fish/completions/sluice.fish
`

/**
 * Prints what the last word could be, a line each: the word, a tab, what it is.
 *
 * @param words behind the program's name; the last one is being typed and may be empty
 */
export async function complete(shell: Shell, program: Command, words: readonly string[]): Promise<number> {
  const found = await candidates(shell, program, words)
  await write(shell.io.stdout, found.map(([word, text]) => (text ? `${word}\t${text}\n` : `${word}\n`)).join(''))
  return DONE
}

type Candidate = readonly [word: string, text?: string | undefined]

async function candidates(shell: Shell, program: Command, words: readonly string[]): Promise<readonly Candidate[]> {
  const current = words.at(-1) ?? ''
  const { command, given, awaiting, isOver } = walk(program, words.slice(0, -1))
  const starting = (all: readonly Candidate[]) => all.filter(([word]) => word === FILES || word.startsWith(current))
  if (awaiting !== undefined) return starting(await valuesOf(shell, awaiting, given))
  const [, flag, value] = /^(--[a-z-]+)=(.*)$/s.exec(current) ?? []
  if (flag !== undefined && value !== undefined) {
    const option = optionsOf(command).find(({ long }) => long === flag)
    const values = option === undefined ? [] : await valuesOf(shell, option, given)
    return starting(values.map(([word, text]) => [`${flag}=${word}`, text] as const))
  }
  if (current.startsWith('-') && !isOver) return starting(flagsOf(command))
  if (command.commands.length > 0)
    return starting(command.commands.map(each => [each.name(), each.summary() || firstSentence(each)]))
  const argument = command.registeredArguments[Math.min(given.length, command.registeredArguments.length - 1)]
  if (argument === undefined) return []
  if (argument.argChoices !== undefined) return starting(argument.argChoices.map(choice => [choice]))
  return starting(await thingsNamed(shell, argument.name(), given))
}

interface Walked {
  readonly command: Command
  /** Arguments of that command. */
  readonly given: readonly string[]
  /** The option whose value comes next. */
  readonly awaiting: Option | undefined
  /** Behind `--` there are no options. */
  readonly isOver: boolean
}

function walk(program: Command, words: readonly string[]): Walked {
  let command = program
  let given: string[] = []
  let awaiting: Option | undefined
  let isOver = false
  for (const word of words) {
    if (awaiting !== undefined) awaiting = undefined
    else if (!isOver && word === '--') isOver = true
    else if (!isOver && word.startsWith('-')) {
      const option = optionsOf(command).find(({ long, short }) => long === word || short === word)
      // What is optional is given with = only.
      if (option?.required === true) awaiting = option
    } else {
      const sub = given.length === 0 ? command.commands.find(each => each.name() === word) : undefined
      if (sub === undefined) given = [...given, word]
      else command = sub
    }
  }
  return { command, given, awaiting, isOver }
}

/** Those of the commands around it too. */
function optionsOf(command: Command): readonly Option[] {
  return [...command.options, ...(command.parent === null ? [] : optionsOf(command.parent))]
}

function flagsOf(command: Command): readonly Candidate[] {
  const flags = optionsOf(command).filter(({ long, hidden }) => long && !hidden)
  return [...flags.map(({ long, description }) => [long ?? '', description] as const), ['--help', 'say how it is used']]
}

async function valuesOf(shell: Shell, option: Option, given: readonly string[]): Promise<readonly Candidate[]> {
  if (option.argChoices !== undefined) return option.argChoices.map(choice => [choice])
  return thingsNamed(shell, option.long ?? '', given, /<(file|folder|dir)>/i.test(option.flags))
}

async function thingsNamed(
  shell: Shell,
  name: string,
  given: readonly string[],
  isFile: boolean = /file|folder/.test(name),
): Promise<readonly Candidate[]> {
  if (QUEUES.includes(name)) return queues(shell)
  if (BARRIERS.includes(name) && given[0] !== undefined) return barriers(shell, given[0])
  return isFile ? [[FILES]] : []
}

async function queues(shell: Shell): Promise<readonly Candidate[]> {
  const { queues = [] } = (await asked(shell, '/v1/queues')) as { queues?: readonly { readonly name: string }[] }
  return queues.map(({ name }) => [name])
}

async function barriers(shell: Shell, queue: string): Promise<readonly Candidate[]> {
  const path = withQuery(`${queuePath(queue)}/barriers`, { limit: BARRIERS_MAX })
  const { barriers = [] } = (await asked(shell, path)) as {
    barriers?: readonly { readonly name?: string; readonly sequence: number; readonly state: string }[]
  }
  return barriers.map(({ name, sequence, state }) => [name ?? `@${sequence}`, state])
}

/** Nothing, if the server is not there or says no: a key is no place for an error. */
async function asked(shell: Shell, path: string): Promise<Document> {
  try {
    return await ask(shell, 'GET', path, undefined, ASK_TIMEOUT_MS)
  } catch {
    return {}
  }
}

function firstSentence(command: Command): string {
  return command.description().split('. ')[0] ?? ''
}
