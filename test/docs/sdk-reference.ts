import { readFileSync } from 'node:fs'
import path from 'node:path'
import { ROOT } from './markdown.ts'

/** Where the reference stands. */
export const REFERENCE = 'docs/sdk-reference.md'

const DECLARATIONS = path.join(ROOT, 'clients/typescript/dist')
const TITLES: Readonly<Record<string, string>> = {
  client: 'Clients',
  queue: 'Queues',
  options: 'Options',
  worker: 'Workers',
  subscription: 'Subscriptions',
  delivery: 'Messages and barriers as they are delivered',
  batch: 'Batches',
  atomic: 'Publishing',
  lane: 'Publishing: what comes back',
  browsing: 'Browsing and dead letters',
  'one-message': 'Acting on one message',
  'error-codes': 'Codes of errors',
  errors: 'Errors',
  events: 'Events',
  link: 'Events: the state of the connection',
  codecs: 'Codecs and schemas',
  backoff: 'Connecting again',
  socket: 'Sockets and TLS',
  tracing: 'Tracing',
  'open-telemetry': 'Tracing with OpenTelemetry',
  timers: 'Time, for tests',
  testing: 'Servers for tests: @sluice/client/testing',
}

const HEAD = `# SDK reference

Every export of \`@sluice/client\`, made from its declarations by \`npm run docs:sdk\`; do not edit it by hand. How the parts play
together is told in [sdk.md](sdk.md), every error code in [errors.md](errors.md).
`

/** The reference as the built declarations have it. What is marked as internal is left out. */
export function sdkReference(): string {
  const exported = exportsOf('index')
  const all: [string, readonly string[]][] = [...exported, ['testing', namesIn(declarations('testing'))]]
  const order = Object.keys(TITLES)
  all.sort(([a], [b]) => order.indexOf(a) - order.indexOf(b))
  const parts = all.map(([file, names]) => {
    const title = TITLES[file]
    if (title === undefined) throw new Error(`${file}.ts has exports and no title in test/docs/sdk-reference.ts`)
    return `## ${title}\n\n${names.map(name => entry(file, name)).join('\n')}`
  })
  return `${HEAD}\n${parts.join('\n')}`
}

/** Names of everything that `@sluice/client` exports, by the file that has it. */
function exportsOf(index: string): [string, string[]][] {
  const clauses = [...declarations(index).matchAll(/^export (?:type )?\{([^}]*)\} from '\.\/([\w-]+)\.ts';$/gm)]
  return clauses.map(([, list, file]) => {
    const names = (list as string).split(',').map(name => name.trim().replace(/^type /, ''))
    return [file as string, names.filter(name => name !== '')]
  })
}

function namesIn(text: string): string[] {
  return [...text.matchAll(/^export (?:declare )?(?:class|interface|type|function|const) (\w+)/gm)].map(
    ([, name]) => name as string,
  )
}

function declarations(file: string): string {
  return readFileSync(path.join(DECLARATIONS, `${file}.d.ts`), 'utf8')
}

function entry(file: string, name: string): string {
  const text = declarations(file)
  const start = new RegExp(`^export (?:declare )?(?:abstract )?(?:class|interface|type|function|const) ${name}\\b`, 'm')
  const at = start.exec(text)?.index
  if (at === undefined) throw new Error(`${file}.d.ts does not declare ${name}`)
  const code = withoutInternals(declarationAt(text.slice(at)))
  const comment = /\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\n$/.exec(text.slice(0, at))?.[1] ?? ''
  return `### ${name}\n\n${prose(comment)}\`\`\`ts\n${code}\n\`\`\`\n`
}

/** From its first line to the one that ends it at the left margin. */
function declarationAt(text: string): string {
  const lines = text.split('\n')
  const isOpen = (lines[0] as string).endsWith('{') || !(lines[0] as string).endsWith(';')
  const last = isOpen
    ? lines.findIndex((line, index) => index > 0 && /^(?:\}|\S.*;$| .*;$)/.test(line) && closes(line))
    : 0
  return lines
    .slice(0, last + 1)
    .join('\n')
    .replace(/^export (?:declare )?/, '')
    .replace(/^(?: {4})+/gm, margin => ' '.repeat(margin.length / 2))

  function closes(line: string): boolean {
    return (lines[0] as string).endsWith('{') ? line.startsWith('}') && !line.endsWith('{') : line.endsWith(';')
  }
}

function withoutInternals(code: string): string {
  return code
    .replace(/^ {2}#private;\n/m, '')
    .replace(
      /^ {2}\/\*\*(?:(?!\*\/)[\s\S])*@internal(?:(?!\*\/)[\s\S])*\*\/\n {2}\S[^\n]*(?:\n {3,}[^\n]*|\n {2}[}\])][^\n]*)*\n/gm,
      '',
    )
}

function prose(comment: string): string {
  const text = comment
    .split('\n')
    .map(line => line.replace(/^\s*\* ?/, '').trim())
    .join('\n')
    .trim()
    .replace(/^@(\w+) ?/gm, '- **$1** ')
    .replace(/([^\n])\n- \*\*/g, '$1\n\n- **')
  return text === '' ? '' : `${text}\n\n`
}
