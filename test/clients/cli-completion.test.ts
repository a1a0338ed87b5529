import { execFileSync, spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { MAIN, type ServerChild, startServer } from './cli-support.ts'

let server: ServerChild
let folder: string

beforeAll(async () => {
  server = await startServer()
  for (const name of ['sales', 'sales.dead', 'with blank', 'team:jobs']) await server.run(['queue', 'declare', name])
  await server.run(['publish', 'sales', '1', '--barrier=eof-1'])
  folder = mkdtempSync(join(tmpdir(), 'sluice-completion-'))
  const program = join(folder, 'sluice')
  writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`)
  chmodSync(program, 0o755)
})
afterAll(async () => {
  await server[Symbol.asyncDispose]()
  rmSync(folder, { recursive: true, force: true })
})

/** What could stand where the cursor is, at the end of the words. */
async function words(...typed: readonly string[]): Promise<readonly string[]> {
  const { stdout } = await server.run(['__complete', ...typed])
  return stdout
    .split('\n')
    .slice(0, -1)
    .map(line => line.split('\t')[0] ?? '')
}

/** What bash itself puts in place of the last word. */
function bash(line: string): readonly string[] {
  const script = `
source <(sluice completion bash)
line=${JSON.stringify(line)}
COMP_LINE=$line COMP_POINT=\${#line}
COMP_WORDS=() word=
# As bash breaks them: at blanks, and at = and :, which are words of their own.
for ((at = 0; at < \${#line}; at++)); do
  c=\${line:at:1}
  case $c in
    ' ') [[ -n $word ]] && COMP_WORDS+=("$word"); word= ;;
    [=:]) [[ -n $word ]] && COMP_WORDS+=("$word"); COMP_WORDS+=("$c"); word= ;;
    *) word+=$c ;;
  esac
done
[[ -n $word || $line == *' ' ]] && COMP_WORDS+=("$word")
COMP_CWORD=$((\${#COMP_WORDS[@]} - 1))
compopt() { echo "compopt $*"; }
_sluice
printf '%s\\n' "\${COMPREPLY[@]}"
`
  const env = { ...process.env, PATH: `${folder}:${process.env['PATH']}`, SLUICE_URL: server.url }
  return execFileSync('bash', ['--norc', '-c', script], { env, encoding: 'utf8' })
    .split('\n')
    .filter(line => line !== '')
}

test('commands, then commands of commands, then what they take', async () => {
  expect(await words('')).toEqual(expect.arrayContaining(['serve', 'publish', 'queue', 'top', 'completion']))
  expect(await words('qu')).toEqual(['queue'])
  expect(await words('server', '')).toEqual(expect.arrayContaining(['info', 'backup', 'restore', 'check']))
  expect(await words('completion', '')).toEqual(['bash', 'zsh', 'fish'])
  expect(await words('completion', 'bash', '')).toEqual(['bash', 'zsh', 'fish'])
  expect(await words('nonsense', '')).toEqual(await words(''))
})

test('options of the command and of all commands, and their values', async () => {
  expect(await words('publish', 'sales', '--bar')).toEqual(['--barrier', '--barrier-body'])
  expect(await words('publish', '--u')).toContain('--url')
  expect(await words('queue', 'declare', 'q', '--overflow', '')).toEqual([
    'refuse',
    'drop-oldest',
    'dead-letter-oldest',
  ])
  expect(await words('queue', 'declare', 'q', '--overflow=d')).toEqual([
    '--overflow=drop-oldest',
    '--overflow=dead-letter-oldest',
  ])
  expect(await words('queue', 'declare', 'q', '--dead-letter', 's')).toEqual(['sales', 'sales.dead'])
  expect(await words('publish', 'sales', '--file', '')).toEqual([':files'])
  expect(await words('server', 'check', '--data', '')).toEqual([':files'])
  expect(await words('publish', '--', '--')).toEqual([])
})

test('names of queues and barriers, asked of the server', async () => {
  expect(await words('publish', 'sal')).toEqual(['sales', 'sales.dead'])
  expect(await words('publish', '--header', 'a=b', 'sal')).toEqual(['sales', 'sales.dead'])
  expect(await words('wait', 'sales', '')).toEqual(['eof-1'])
  expect(await words('barrier', 'holdouts', 'sales', 'eof')).toEqual(['eof-1'])
})

test('a server that does not answer costs 300 ms and nothing is said', async () => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  onTestFinished(() => void silent.close())
  await new Promise(resolve => silent.once('listening', resolve))
  const { port } = silent.address() as { port: number }
  const { run } = await import('../../clients/cli/src/index.ts')
  const { PassThrough, Readable } = await import('node:stream')
  const stdout = new PassThrough()
  const startedMs = performance.now()
  const io = { stdin: Readable.from([]), stdout, stderr: stdout, env: { SLUICE_URL: `ws://127.0.0.1:${port}` } }
  expect(await run(['__complete', 'publish', ''], io)).toBe(0)
  expect(performance.now() - startedMs).toBeLessThan(2_000)
  expect(stdout.read()).toBe(null)
})

test('bash completes: words, values behind =, names with blanks and colons', () => {
  expect(bash('sluice que')).toEqual(['queue'])
  expect(bash('sluice publish sal')).toEqual(['sales', 'sales.dead'])
  expect(bash('sluice queue declare x --overflow=dr')).toEqual(['drop-oldest'])
  expect(bash('sluice queue declare x --overflow=')).toEqual(['refuse', 'drop-oldest', 'dead-letter-oldest'])
  expect(bash('sluice publish with')).toEqual(['with\\ blank'])
  expect(bash('sluice publish team:j')).toEqual(['jobs'])
  expect(bash('sluice wait sales ')).toEqual(['eof-1'])
  expect(bash('sluice publish sales --file ')).toEqual(['compopt -o default'])
})

const hasShell = (shell: string) => spawnSync(shell, ['-c', 'true']).status === 0
for (const shell of ['zsh', 'fish'])
  if (!hasShell(shell)) console.warn(`${shell} does not complete here: apt-get install -y ${shell}`)

/** Runs a script of a shell's own in which `sluice` is the built command. */
function inShell(shell: 'zsh' | 'fish', args: readonly string[]): readonly string[] {
  const env = { ...process.env, PATH: `${folder}:${process.env['PATH']}`, SLUICE_URL: server.url, HOME: folder }
  const said = execFileSync(shell, args, { env, encoding: 'utf8' })
  return said.split('\n').filter(line => line !== '')
}

test.skipIf(!hasShell('zsh'))('zsh completes: words, names with blanks, files', () => {
  // What zsh does at a key, but for its own functions: they want a terminal.
  const zsh = (...typed: readonly string[]) =>
    inShell('zsh', [
      '-f',
      '-c',
      `compdef() {}; compadd() { print -rl -- $names }; _files() { print files }
       source <(sluice completion zsh); words=("$@"); CURRENT=$#; _sluice`,
      'zsh',
      'sluice',
      ...typed,
    ])
  expect(zsh('que')).toEqual(['queue'])
  expect(zsh('publish', 'sal')).toEqual(['sales', 'sales.dead'])
  expect(zsh('publish', 'with')).toEqual(['with blank'])
  expect(zsh('wait', 'sales', '')).toEqual(['eof-1'])
  expect(zsh('publish', 'sales', '--file', '')).toEqual(['files'])
})

test.skipIf(!hasShell('fish'))('fish completes: words, names with blanks, files', () => {
  const fish = (line: string) =>
    inShell('fish', ['--no-config', '-c', 'sluice completion fish | source; complete -C $argv[1]', line]).map(
      found => found.split('\t')[0],
    )
  expect(fish('sluice que')).toEqual(['queue'])
  expect(fish('sluice publish sal')).toEqual(['sales', 'sales.dead'])
  expect(fish('sluice publish with')).toEqual(['with blank'])
  expect(fish('sluice wait sales ')).toEqual(['eof-1'])
  expect(fish(`sluice publish sales --file ${folder}/slu`)).toEqual([`${folder}/sluice`])
})

test.for(['zsh', 'fish'] as const)('the script for %s can be read by it', async (shell, { skip }) => {
  const { stdout, exitCode } = await server.run(['completion', shell])
  expect(exitCode).toBe(0)
  expect(stdout).toContain('__complete')
  const script = join(folder, `completion.${shell}`)
  writeFileSync(script, stdout)
  const parsed = spawnSync(shell, ['-n', script], { encoding: 'utf8' })
  if (parsed.error !== undefined) skip(`${shell} is not here, so its script was not parsed: apt-get install ${shell}`)
  expect(parsed).toMatchObject({ status: 0, stderr: '' })
})
