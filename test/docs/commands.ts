import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { MAIN, startServer } from '../clients/cli-support.ts'
import { type Block, ROOT } from './markdown.ts'

/** A document that takes longer hangs. */
const TIME_MS = 100_000

export interface Spoken {
  readonly exitCode: number
  /** What all blocks said, by the number of the block. */
  readonly said: readonly string[]
  /** All of it, for a person. */
  readonly log: string
}

/**
 * Runs the commands of a document in one shell, one block after another, in an empty folder with a server of its own.
 *
 * Marks: `exits: N` where the last command is to end so, in the background too; `in the background` for what people start in another terminal: it must
 * end well by itself by the end of the document, or is stopped then with `in the background: for ever`; `file: NAME` is what the
 * reader saves under that name.
 */
export async function runCommands(blocks: readonly Block[]): Promise<Spoken> {
  await using server = await startServer()
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-docs-'))
  try {
    furnish(folder)
    const script = path.join(folder, '.script.sh')
    writeFileSync(script, scriptOf(blocks, server.url))
    const { exitCode, output } = await bash(script, folder, server.url)
    return { exitCode, said: output.split(/^@@@.*\n/m).slice(1), log: output }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** `sluice` and `npx sluice` are the built command, `@sluice/client` the workspace, and `clients` what the reader has cloned. */
function furnish(folder: string): void {
  const bin = path.join(folder, '.bin')
  mkdirSync(bin)
  const run = `exec "${process.execPath}" "${MAIN}" "$@"`
  const npx = `case $1 in sluice) shift; ${run};; tsx) exec "$@";; *) exit 127;; esac`
  for (const [name, text] of Object.entries({ sluice: run, npx })) {
    writeFileSync(path.join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
  }
  // Files of the reader's are in the clone, whose package is one of modules.
  writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}')
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'))
  symlinkSync(path.join(ROOT, 'clients'), path.join(folder, 'clients'))
}

function scriptOf(blocks: readonly Block[], url: string): string {
  const http = url.replace('ws', 'http')
  const parts = blocks.map(({ document, line, text, marks }, index) => {
    const commands = text.replaceAll('http://127.0.0.1:7420', http).replaceAll('ws://127.0.0.1:7420', url)
    const head = `echo "@@@ ${document}:${line}"`
    const file = marks.get('file')
    if (file !== undefined) return `${head}\ncat > ${file} <<'END OF FILE'\n${commands}END OF FILE\nchmod +x ${file}`
    const background = marks.get('in the background')
    if (background !== undefined) {
      const list = background === 'for ever' ? 'endless+=($!)' : `workers+=($!) codes+=(${marks.get('exits') ?? 0})`
      return `${head}\n( ${commands.trim()}\n) >.log-${index} 2>&1 &\n${list}`
    }
    const exits = marks.get('exits')
    if (exits === undefined) return `${head}\n${commands}`
    return `${head}\nset +e\n( set -e\n${commands}\n)\ncode=$?\nset -e\n[ $code = ${exits} ] || { echo "exit code $code, not ${exits}"; exit 1; }`
  })
  return `set -eo pipefail
exec 2>&1
workers=() codes=() endless=()
trap 'code=$?; kill "\${workers[@]}" "\${endless[@]}" 2>/dev/null || true; [ $code = 0 ] || cat .log-* 2>/dev/null; exit $code' EXIT
${parts.join('\n')}
echo "@@@ end"
for index in "\${!workers[@]}"; do
  code=0; wait "\${workers[$index]}" || code=$?
  [ $code = "\${codes[$index]}" ] || { echo "a worker ended with $code, not \${codes[$index]}"; exit 1; }
done
`
}

async function bash(script: string, cwd: string, url: string): Promise<{ exitCode: number; output: string }> {
  const env = {
    ...process.env,
    SLUICE_URL: url,
    PATH: [path.join(cwd, '.bin'), path.join(ROOT, 'node_modules/.bin'), process.env['PATH']].join(':'),
  }
  const child = spawn('bash', [script], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  let output = ''
  child.stdout.on('data', chunk => (output += chunk))
  child.stderr.on('data', chunk => (output += chunk))
  const timer = setTimeout(() => {
    output += `over time, after ${TIME_MS / 1_000} s\n`
    killGroup(child.pid)
  }, TIME_MS)
  const exitCode = await new Promise<number>(resolve => child.once('exit', code => resolve(code ?? -1)))
  clearTimeout(timer)
  // What the script has left behind is of its process group.
  killGroup(child.pid)
  return { exitCode, output }
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // Nothing is left of it.
  }
}
