import { Command, InvalidArgumentError } from 'commander'
import type { Act } from './act.ts'
import { readDuration, readSize } from './arguments.ts'
import { DONE } from './exit.ts'
import { ask } from './http.ts'
import { confirmed, printJson, type Shell, write } from './io.ts'
import { printTable } from './table.ts'

const RIGHTS: readonly string[] = ['publish', 'consume', 'browse', 'barrier', 'admin']
const PATH = '/v1/tokens'

interface Grant {
  readonly queue: string
  readonly rights: readonly string[]
  readonly filter?: string
}

/** A token as the server shows it. */
interface Token {
  readonly name: string
  readonly grants: readonly Grant[]
  readonly created_at: string
  readonly expires_at?: string
  readonly stored_bytes_max?: number
  readonly stored_bytes?: number
  readonly has_secret: boolean
}

interface CreateOptions {
  readonly allow: readonly Grant[]
  readonly filter?: string
  readonly expires?: string
  readonly storedBytesMax?: string
  readonly secret: boolean
}

export function tokenCommand(act: Act): Command {
  const token = new Command('token')
    .summary('say who may come in, and what each may do')
    .description('Looks after the tokens of a server that runs with auth = "tokens". Takes admin on the queue "*".')
  token
    .command('create')
    .description('Makes a token and writes its secret on stdout, this once: nobody can show it again.')
    .argument('<name>', 'who or what it is for')
    .requiredOption('--allow <rights:queues>', `${RIGHTS.join(', ')}, and a name of queues with * and ?`, readAllow)
    .option('--filter <expression>', 'only messages that match, for all that is allowed')
    .option('--expires <duration>', 'how long it is good for (12h, 30d); default: until it is revoked', durationText)
    .option('--stored-bytes-max <size>', 'most that it may have stored at a time, in all queues (10GiB)', sizeText)
    .option('--no-secret', 'let nobody in by a secret, but by a client certificate of this name')
    .addHelpText('after', CREATE_EXAMPLES)
    .action(act<CreateOptions>((shell, [name], options) => create(shell, name!, options)))
  token.command('list').description('Lists the tokens; their secrets are nowhere.').action(act(list))
  token
    .command('revoke')
    .description('Takes a token away: who is in by it is cut, and what he holds returns.')
    .argument('<name>')
    .action(act((shell, [name]) => revoke(shell, name!)))
  return token.addHelpText('after', EXAMPLES)
}

const CREATE_EXAMPLES = `
Examples:
  $ sluice token create loader --allow 'publish,barrier:sales.*' --expires 30d > loader.token
  $ sluice token create eu-desk --allow 'consume,browse:orders' --filter "/region = 'EU'"
`

const EXAMPLES = `
A secret in a command line can be seen by others of the machine: give it by $SLUICE_TOKEN, --token-file or
$SLUICE_TOKEN_FILE rather than by --token.

Examples:
  $ export SLUICE_TOKEN_FILE=sluice-data/admin.token
  $ sluice token list
  $ sluice token revoke loader --yes
`

/** `publish,consume:orders.*`, again and again; the name of the queues may hold colons. */
function readAllow(text: string, before: readonly Grant[] = []): readonly Grant[] {
  const colon = text.indexOf(':')
  const rights = text.slice(0, colon === -1 ? 0 : colon).split(',')
  const wrong = rights.find(right => !RIGHTS.includes(right))
  if (wrong !== undefined || colon === text.length - 1) {
    throw new InvalidArgumentError(`It is like publish,consume:orders.*, with the rights ${RIGHTS.join(', ')}.`)
  }
  return [...before, { rights, queue: text.slice(colon + 1) }]
}

function sizeText(text: string): string {
  readSize(text)
  return text
}

function durationText(text: string): string {
  readDuration(text)
  return text
}

async function create(shell: Shell, name: string, options: CreateOptions): Promise<number> {
  const { allow, filter, expires, storedBytesMax, secret } = options
  const made = await ask(shell, 'POST', PATH, {
    name,
    grants: allow.map(grant => (filter === undefined ? grant : { ...grant, filter })),
    ...(expires === undefined ? {} : { expires }),
    ...(storedBytesMax === undefined ? {} : { stored_bytes_max: storedBytesMax }),
    has_secret: secret,
  })
  if (shell.json) await printJson(shell, made)
  else if (typeof made['secret'] === 'string') await write(shell.io.stdout, `${made['secret']}\n`)
  shell.talk.done(
    secret
      ? `token ${name} is made; its secret is shown this once`
      : `token ${name} is made; it lets in a client certificate of this name`,
  )
  return DONE
}

async function list(shell: Shell): Promise<number> {
  const { tokens } = (await ask(shell, 'GET', PATH)) as unknown as { readonly tokens: readonly Token[] }
  if (shell.json) await printJson(shell, tokens)
  else if (tokens.length > 0 || !shell.io.stdout.isTTY) {
    const rows = tokens.map(token => [
      token.name,
      token.grants.map(allowText).join(' '),
      token.expires_at,
      token.created_at,
      token.stored_bytes,
      token.stored_bytes_max,
      token.has_secret ? 'secret' : 'certificate',
    ])
    await printTable(shell, ['TOKEN', 'ALLOWS', 'EXPIRES', 'CREATED', 'STORED', 'STORED-MAX', 'BY'], rows)
  }
  if (tokens.length === 0) shell.talk.say(' There are no tokens yet. Make one: sluice token create NAME --allow …')
  return DONE
}

function allowText({ queue, rights, filter }: Grant): string {
  return `${rights.join(',')}:${queue}${filter === undefined ? '' : ` (${filter})`}`
}

async function revoke(shell: Shell, name: string): Promise<number> {
  await confirmed(shell, `Revoke the token ${name}? Who is in by it is cut.`)
  await ask(shell, 'DELETE', `${PATH}/${encodeURIComponent(name)}`)
  shell.talk.done(`token ${name} is revoked`)
  return DONE
}
