import { Command } from 'commander'
import type { Act } from './act.ts'
import { DONE, Stop, USAGE } from './exit.ts'
import { count, counted } from './format.ts'
import { ask } from './http.ts'
import { printJson, type Shell, write } from './io.ts'
import { linesOf, type Source } from './messages.ts'
import { printSplit, type TestedLine } from './split.ts'

interface Options {
  readonly queue?: string
  readonly file?: string
  readonly body?: string
  readonly batches?: boolean
}

/** The server looks at so many bodies in one request, of so many bytes. */
const BODIES_MAX = 500
const BYTES_MAX = 1_048_576

export function filterCommand(act: Act): Command {
  const filter = new Command('filter').summary('try filter expressions').description('Tries filter expressions.')
  filter
    .command('test')
    .description('Tells what an expression matches, without changing anything.')
    .argument('<expression>')
    .option('--queue <queue>', 'the messages in this queue')
    .option('--file <file>', 'the lines of this file of JSON lines; - reads stdin; those that match are printed')
    .option('--body <text>', 'this body')
    .option('--batches', 'of a file: the batches it would fall into if the expression were the barrier of its queue')
    .addHelpText('after', EXAMPLES)
    .action(act<Options>((shell, [expression], options) => test(shell, expression!, options)))
  return filter
}

const EXAMPLES = `
Examples:
  $ sluice filter test "/is_eof = 1" --body '{"is_eof":1}'
  $ sluice filter test "/amount > 1000 AND /store IN (17, 18)" --file sales.ndjson
  $ sluice filter test "/amount > 1000" --queue sales
  $ sluice filter test "/is_eof = 1" --file sales.ndjson --batches
`

async function test(shell: Shell, expression: string, options: Options): Promise<number> {
  const { queue, file, body } = options
  if ([queue, file, body].filter(given => given !== undefined).length !== 1) {
    throw new Stop(USAGE, 'Say what to try it on: --queue, --file or --body.')
  }
  if (options.batches === true) {
    if (file === undefined) throw new Stop(USAGE, '--batches goes with --file.')
    const source = await linesOf(file, shell.io.stdin, undefined)
    return printSplit(shell, testedLines(shell, expression, source))
  }
  if (queue !== undefined) return testQueue(shell, expression, queue)
  if (body !== undefined) return testBody(shell, expression, body)
  return await testFile(shell, expression, file!)
}

async function testQueue(shell: Shell, expression: string, queue: string): Promise<number> {
  const document = await ask(shell, 'POST', '/v1/filters/test', { expression, queue })
  const { tested, matched, first } = document as { tested: number; matched: number; first: readonly number[] }
  if (shell.json) await printJson(shell, document)
  else await write(shell.io.stdout, first.map(sequence => `${sequence}\n`).join(''))
  shell.talk.say(` ${count(matched)} of ${counted(tested, 'message')} match; the first have these sequence numbers`)
  return DONE
}

async function testBody(shell: Shell, expression: string, body: string): Promise<number> {
  const [matches] = await matching(shell, expression, [body])
  await write(shell.io.stdout, shell.json ? `${JSON.stringify({ matches })}\n` : `${matches}\n`)
  return DONE
}

async function testFile(shell: Shell, expression: string, path: string): Promise<number> {
  const source = await linesOf(path, shell.io.stdin, undefined)
  let tested = 0
  let matched = 0
  for await (const lines of testedLines(shell, expression, source)) {
    const those = lines.filter(({ matches }) => matches)
    tested += lines.length
    matched += those.length
    if (!shell.json) await write(shell.io.stdout, those.map(({ body }) => `${body}\n`).join(''))
  }
  if (shell.json) await printJson(shell, { tested, matched })
  shell.talk.say(` ${count(matched)} of ${counted(tested, 'line')} match`)
  return DONE
}

/** In portions. Lines that are no JSON are told and left out: `publish` refuses them. */
async function* testedLines(
  shell: Shell,
  expression: string,
  source: Source,
): AsyncGenerator<readonly TestedLine[], void> {
  const refused: number[] = []
  for await (const lines of inPortions(source, line => refused.push(line))) {
    const results = await matching(
      shell,
      expression,
      lines.map(({ body }) => body),
    )
    yield lines.map((line, index) => ({ ...line, matches: results[index] === true }))
  }
  if (refused.length > 0)
    shell.talk.warn(`${counted(refused.length, 'line')} left out that are no JSON; the first is line ${refused[0]}`)
}

async function matching(shell: Shell, expression: string, bodies: readonly string[]): Promise<readonly boolean[]> {
  const { results } = await ask(shell, 'POST', '/v1/filters/test', { expression, bodies })
  return results as readonly boolean[]
}

type Portion = readonly { readonly line: number; readonly body: string }[]

async function* inPortions(source: Source, refuse: (line: number) => void): AsyncGenerator<Portion, void> {
  let portion: { readonly line: number; readonly body: string }[] = []
  let bytes = 0
  for await (const items of source.items()) {
    for (const item of items) {
      if ('refused' in item) {
        refuse(item.refused.line ?? 0)
        continue
      }
      portion.push({ line: item.line ?? 0, body: Buffer.from(item.body).toString() })
      bytes += item.body.length
      if (portion.length < BODIES_MAX && bytes < BYTES_MAX) continue
      yield portion
      portion = []
      bytes = 0
    }
  }
  if (portion.length > 0) yield portion
}
