import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { startServer } from '../../src/server.ts'
import { runCommands } from './commands.ts'
import { anchorsOf, type Block, blocksOf, documents, linksOf, ROOT, read, withSources } from './markdown.ts'

/** Documents whose commands are run; those of the others are of another server than the one here, and only read. */
const RUN = (document: string) =>
  [
    'README.md',
    'docs/getting-started.md',
    'docs/troubleshooting.md',
    'docs/errors.md',
    'docs/sdk.md',
    'docs/tracing.md',
  ].includes(document) || /^docs\/(guides|moving)\//.test(document)

const DOCUMENTS = documents()
const BLOCKS = DOCUMENTS.flatMap(blocksOf)
const where = ({ document, line }: Block) => `${document}:${line}`
const isRun = ({ language, marks, document }: Block) =>
  RUN(document) && (marks.has('file') || (language === 'sh' && !marks.has('not run')))

function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'sluice-docs-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

const MISSING = ['curl', 'jq'].filter(program => spawnSync(program, ['--version']).status !== 0)
for (const program of MISSING) console.warn(`documents that use ${program} are skipped: apt-get install -y ${program}`)

test.concurrent.for(DOCUMENTS.filter(document => BLOCKS.some(block => block.document === document && isRun(block))))(
  'what %s tells to type does what it says',
  { timeout: 120_000 },
  async (document, { skip }) => {
    const blocks = BLOCKS.filter(block => block.document === document && isRun(block))
    const missing = MISSING.find(program => blocks.some(({ text }) => new RegExp(`\\b${program}\\b`).test(text)))
    if (missing !== undefined) skip(`needs ${missing}: apt-get install -y ${missing}`)
    const { exitCode, said, log } = await runCommands(blocks)
    expect(exitCode, log).toBe(0)
    for (const [index, block] of blocks.entries()) {
      const shown = outputOf(block)
      if (shown !== undefined) expect(said[index], where(block)).toMatch(patternOf(shown))
    }
  },
)

/** The block behind one, if it is marked as its output. */
function outputOf(block: Block): string | undefined {
  const next = BLOCKS[BLOCKS.indexOf(block) + 1]
  return next?.document === block.document && next.marks.has('output') ? next.text : undefined
}

/** The lines shown come in this order; `…` is anything within a line, and other lines may stand between. */
function patternOf(shown: string): RegExp {
  const lines = shown.trim().split('\n')
  const patterns = lines.map(line =>
    line
      .trim()
      .split(/\s*…\s*/)
      .map(part => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/\s+/g, '\\s+'))
      .join('.*'),
  )
  return new RegExp(patterns.join('(?:.|\\n)*?'))
}

test('what is not run says why', () => {
  const left = BLOCKS.filter(block => block.language === 'sh' && RUN(block.document) && !isRun(block))
  const silent = left.filter(({ marks }) => (marks.get('not run') ?? '').length < 10).map(where)
  expect(silent).toEqual([])
  for (const block of left) console.info(`${where(block)} is not run: ${block.marks.get('not run')}`)
})

test('every command of every document is good shell', () => {
  const wrong = BLOCKS.filter(({ language }) => language === 'sh').flatMap(block => {
    const { status, stderr } = spawnSync('bash', ['-n'], { input: block.text, encoding: 'utf8' })
    return status === 0 ? [] : [`${where(block)}: ${stderr}`]
  })
  expect(wrong).toEqual([])
})

test('every block says in what language it is', () => {
  const known = ['sh', 'ts', 'toml', 'json', 'text', 'xml', 'python']
  const wrong = BLOCKS.filter(({ document, language }) => RUN(document) && !known.includes(language)).map(where)
  expect(wrong).toEqual([])
})

test('every snippet of TypeScript is right by the types of the SDK', () => {
  const folder = temporaryFolder()
  symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'))
  writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}')
  const files: string[] = []
  for (const block of BLOCKS) {
    const { language, marks, text, document, line } = block
    if (language !== 'ts' || marks.has('from') || marks.has('not checked') || !(RUN(document) || marks.has('with')))
      continue
    const file = `${document.replaceAll('/', '-')}-${line}.ts`
    writeFileSync(path.join(folder, file), `export {}\n${marks.get('with') ?? ''}\n${text}`)
    files.push(file)
  }
  const tsconfig = {
    extends: path.join(ROOT, 'tsconfig.base.json'),
    compilerOptions: {
      composite: false,
      declaration: false,
      isolatedDeclarations: false,
      noEmit: true,
      customConditions: [],
      rewriteRelativeImportExtensions: false,
      allowImportingTsExtensions: true,
      typeRoots: [path.join(ROOT, 'node_modules/@types')],
    },
    files,
  }
  writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify(tsconfig))
  expect(files.length).toBeGreaterThan(0)
  const tsc = path.join(ROOT, 'node_modules/.bin/tsc')
  const { status, stdout } = spawnSync(tsc, ['-p', folder, '--pretty', 'false'], { encoding: 'utf8' })
  expect(stdout).toBe('')
  expect(status).toBe(0)
}, 60_000)

test('every snippet that is taken from a program is as the program is: npm run docs:snippets', () => {
  const stale = DOCUMENTS.filter(document => withSources(document) !== read(document))
  expect(stale).toEqual([])
  expect(BLOCKS.filter(({ marks }) => marks.has('from')).length).toBeGreaterThan(0)
})

test('every configuration file that is shown starts a server', async () => {
  const shown = BLOCKS.filter(({ language, marks }) => language === 'toml' && !marks.has('not checked'))
  const folder = temporaryFolder()
  const file = path.join(folder, 'sluice.toml')
  const wrong: string[] = []
  for (const block of shown) {
    writeFileSync(file, block.text)
    try {
      const { config } = loadConfig({ file })
      // Certificates are the reader's; everything else is tried, on another port and with nothing kept.
      const { tlsCert, tlsKey, tlsClientCa, tlsClientCrl, ...rest } = config
      const listen = { host: '127.0.0.1', port: 0 }
      await (await startServer({ ...rest, memory: true, data: folder, listen })).close()
    } catch (error) {
      wrong.push(`${where(block)}: ${(error as Error).message}`)
    }
  }
  expect(shown.length).toBeGreaterThan(0)
  expect(wrong).toEqual([])
})

test('every JSON that is shown is JSON', () => {
  const wrong = BLOCKS.filter(({ language }) => language === 'json').flatMap(block => {
    try {
      JSON.parse(block.text)
      return []
    } catch (error) {
      return [`${where(block)}: ${(error as Error).message}`]
    }
  })
  expect(wrong).toEqual([])
})

test('every link leads somewhere', () => {
  const wrong = DOCUMENTS.flatMap(document =>
    linksOf(document)
      .filter(target => !/^(https?|mailto):/.test(target))
      .flatMap(target => {
        const [file = '', anchor] = target.split('#')
        const to = file === '' ? document : path.posix.join(path.posix.dirname(document), file)
        if (!existsSync(path.join(ROOT, to))) return [`${document} → ${target}: no such file`]
        if (anchor === undefined || anchorsOf(to).has(anchor)) return []
        return [`${document} → ${target}: no such heading`]
      }),
  )
  expect(wrong).toEqual([])
})

test('every document is on the map, docs/README.md', () => {
  const linked = linksOf('docs/README.md').map(target => path.posix.join('docs', target.split('#')[0] as string))
  const missing = DOCUMENTS.filter(document => document !== 'docs/README.md' && !linked.includes(document))
  expect(missing).toEqual([])
})

test('every picture is good XML with a title and a description', () => {
  const pictures = DOCUMENTS.flatMap(document =>
    linksOf(document)
      .filter(target => target.endsWith('.svg') && !target.includes(':'))
      .map(target => path.join(ROOT, path.posix.join(path.posix.dirname(document), target))),
  )
  for (const picture of new Set(pictures)) {
    const text = execFileSync('cat', [picture], { encoding: 'utf8' })
    expect(text, picture).toMatch(/<title[ >]/)
    expect(text, picture).toMatch(/<desc[ >]/)
  }
})
