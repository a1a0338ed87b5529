import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'

const ROOT = path.join(import.meta.dirname, '..')

/**
 * Who may import whom, by folder: the longest folder that a file is in decides. Within a folder everything may.
 * `protocol` holds the layout of a message, which wire and disk share.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'protocol/src': [],
  'clients/typescript/src': ['protocol/src'],
  'clients/cli/src': ['protocol/src', 'clients/typescript/src'],
  'clients/examples/src': ['clients/typescript/src'],
  // What runs in a browser speaks HTTP; of the server's own code it may have nothing.
  'clients/dashboard/src': ['protocol/src', 'clients/typescript/src'],
  'src/core': [],
  'src/filters': [],
  'src/journal': ['src/core'],
  'src/engine': ['src/core', 'src/filters', 'src/journal/journal.ts', 'protocol/src'],
  'src/access': ['src/filters'],
  'src/net': [],
  'src/listeners/native': ['src/engine', 'src/net', 'protocol/src'],
  'src/listeners/http': ['src/engine', 'src/net', 'protocol/src'],
  'src/observe': [],
  'src/config': ['src/engine'],
  // A consumer by the engine's own door that speaks HTTP the other way round: it translates, as a listener does.
  'src/webhooks': ['src/engine', 'protocol/src'],
  'src/upkeep': ['src/config', 'src/engine', 'src/journal', 'src/net', 'src/observe'],
}

/** Packages by the one folder that uses them. */
const PACKAGES: Readonly<Record<string, string>> = {
  lmdb: 'src/journal/lmdb',
  pino: 'src/observe',
  re2js: 'src/filters',
  'smol-toml': 'src/config',
  commander: 'clients/cli/src',
  '@rgrove/parse-xml': 'clients/cli/src/import-amps',
  msgpackr: 'clients/typescript/src',
  preact: 'clients/dashboard/src',
  // The SDK is given it.
  '@opentelemetry/api': 'src/observe',
}

/** Files that are long for a reason. */
const LONG: Readonly<Record<string, string>> = {}
const LINES_MAX = 500

function sources(folder: string): string[] {
  return readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => /\.tsx?$/.test(name))
    .map(name => path.posix.join(folder, name))
}

const FILES = [
  'src',
  'protocol/src',
  ...readdirSync(path.join(ROOT, 'clients'))
    .map(name => `clients/${name}/src`)
    .filter(folder => existsSync(path.join(ROOT, folder))),
].flatMap(sources)
const text = (file: string) => readFileSync(path.join(ROOT, file), 'utf8')
const folderOf = (file: string) =>
  Object.keys(MAY_IMPORT)
    .filter(folder => file.startsWith(`${folder}/`))
    .sort((a, b) => b.length - a.length)[0]

/** What a file imports: files of ours as paths, packages by name. */
function imports(file: string): string[] {
  return [...text(file).matchAll(/(?:^|\n)\s*(?:import|export)\b[^'"]*?from\s*'([^']+)'|import\('([^']+)'\)/g)].map(
    ([, from, late]) => {
      const target = (from ?? late) as string
      if (target.startsWith('.')) return path.posix.join(path.posix.dirname(file), target)
      if (target.startsWith('@sluice/'))
        return (
          { protocol: 'protocol/src', client: 'clients/typescript/src', cli: 'clients/cli/src' }[
            target.split('/')[1] as string
          ] ?? target
        )
      return target.startsWith('node:')
        ? target
        : target
            .split('/')
            .slice(0, target.startsWith('@') ? 2 : 1)
            .join('/')
    },
  )
}

const isOurs = (target: string) => /^(src|protocol|clients)\//.test(target)

test('imports run one way', () => {
  const wrong = FILES.flatMap(file => {
    const folder = folderOf(file)
    if (folder === undefined) return []
    const allowed = [folder, ...(MAY_IMPORT[folder] ?? [])]
    return imports(file)
      .filter(target => isOurs(target) && !allowed.some(from => target === from || target.startsWith(`${from}/`)))
      .map(target => `${file} imports ${target}`)
  })
  expect(wrong).toEqual([])
})

test('a package is imported in one folder', () => {
  const wrong = FILES.flatMap(file =>
    imports(file)
      .filter(target => PACKAGES[target] !== undefined && !file.startsWith(`${PACKAGES[target]}/`))
      .map(target => `${file} imports ${target}`),
  )
  expect(wrong).toEqual([])
})

test('no clock, chance or input/output in the core, and no package', () => {
  const forbidden =
    /\bDate\.now|\bMath\.random|\bsetTimeout|\bsetImmediate|\bperformance\b|\basync\b|\bPromise\b|\bprocess\.|\bconsole\./
  const wrong = FILES.filter(file => file.startsWith('src/core/') || file.startsWith('protocol/src/')).flatMap(file => [
    ...(file.startsWith('src/core/') && forbidden.test(text(file))
      ? [`${file}: ${forbidden.exec(text(file))?.[0]}`]
      : []),
    ...imports(file)
      .filter(target => !isOurs(target))
      .map(target => `${file} imports ${target}`),
  ])
  expect(wrong).toEqual([])
})

test('no file outgrows a reader', () => {
  const long = FILES.filter(file => LONG[file] === undefined && text(file).split('\n').length > LINES_MAX)
  expect(long).toEqual([])
})
