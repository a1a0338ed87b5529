import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')

interface Locked {
  readonly version?: string
  readonly resolved?: string
  readonly integrity?: string
  readonly license?: string
  readonly dev?: boolean
  readonly link?: boolean
  readonly optional?: boolean
  readonly hasInstallScript?: boolean
}

const read = (file: string) => JSON.parse(readFileSync(join(ROOT, file), 'utf8'))
const lock: Readonly<Record<string, Locked>> = read('package-lock.json').packages

/** Packages of others, by their place under node_modules. */
const packages = Object.entries(lock).filter(([place, { link }]) => place.includes('node_modules/') && link !== true)
const production = packages.filter(([, { dev }]) => dev !== true)
const nameOf = (place: string) => place.slice(place.lastIndexOf('node_modules/') + 'node_modules/'.length)

/** They take a binary that is in the package; without one they go on without, or compile: `--ignore-scripts` does no harm. */
const INSTALL_SCRIPTS = ['bufferutil', 'lmdb', 'msgpackr-extract']

/** Licences that ask for no more than to be named. */
const LICENCES = ['0BSD', 'Apache-2.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT']

test('attack 26: every dependency is said by one exact version', () => {
  const workspaces: readonly string[] = read('package.json').workspaces
  const loose = ['.', ...workspaces].flatMap(folder => {
    const manifest = read(`${folder}/package.json`)
    const { dependencies, devDependencies, optionalDependencies, peerDependencies, peerDependenciesMeta } = manifest
    // One that is another's, and optional, is installed by whoever wants it: it says what goes with it.
    const peers = Object.entries(peerDependencies ?? {}).filter(
      ([name]) => /^(@sluice\/|sluice$)/.test(name) || peerDependenciesMeta?.[name]?.optional !== true,
    )
    return [...Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies }), ...peers]
      .filter(([, version]) => !/^(\d+\.\d+\.\d+|npm:\S+@\d+\.\d+\.\d+|file:\.)$/.test(String(version)))
      .map(([name, version]) => `${folder}: ${name} ${version}`)
  })
  expect(loose).toEqual([])
})

test('attack 26: every package in the lock file comes from the registry, and is known by its hash', () => {
  expect(packages.length).toBeGreaterThan(50)
  const wrong = packages.filter(
    ([, { resolved, integrity, version }]) =>
      // Left out where it is the registry that npm is set to.
      (resolved !== undefined && !resolved.startsWith('https://registry.npmjs.org/')) ||
      integrity?.startsWith('sha512-') !== true ||
      version === undefined,
  )
  expect(wrong.map(([place]) => place)).toEqual([])
})

test('attack 26: no package runs a script at install but those that are known', () => {
  const scripts = production.filter(([, { hasInstallScript }]) => hasInstallScript === true)
  expect(scripts.map(([place]) => nameOf(place)).sort()).toEqual(INSTALL_SCRIPTS)
})

test('attack 26: production dependencies have licences that ask for no more than to be named', () => {
  const others = production.filter(([, { license }]) => license === undefined || !LICENCES.includes(license))
  expect(others.map(([place, { license }]) => `${nameOf(place)}: ${license}`)).toEqual([])
})

interface Component {
  readonly purl: string
  readonly name: string
  readonly version: string
  readonly properties?: readonly { readonly name: string; readonly value: string }[]
  readonly licenses?: readonly { readonly license?: { readonly id?: string }; readonly expression?: string }[]
}

/** What of a bill of materials has no licence, or one that asks for more than to be named. */
function unlicensed(components: readonly Component[]): string[] {
  return components
    .filter(({ properties = [] }) => !properties.some(({ name }) => name === 'cdx:npm:package:development'))
    .filter(({ licenses = [] }) => !licenses.some(({ license }) => LICENCES.includes(license?.id ?? '')))
    .map(({ purl }) => purl)
}

test('attack 26: the bill of materials that docs/security.md tells of has every package, with its licence', () => {
  const [, command = ''] =
    /```sh\n(npm sbom [^\n]*)\n```/.exec(readFileSync(join(ROOT, 'docs/security.md'), 'utf8')) ?? []
  const [program = '', ...args] = command.replace(/ >.*$/, '').split(' ')
  const bill = JSON.parse(
    execFileSync(program, args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
  )
  expect(bill.bomFormat).toBe('CycloneDX')
  const components: readonly Component[] = bill.components
  const listed = new Set(components.map(({ purl }) => decodeURIComponent(purl)))
  const needed = production.filter(([, { optional }]) => optional !== true)
  const missing = needed
    .map(([place, { version }]) => `pkg:npm/${nameOf(place)}@${version}`)
    .filter(purl => !listed.has(purl))
  expect(missing).toEqual([])
  expect(unlicensed(components)).toEqual([])
  // That it would find one.
  const strange = [{ license: { id: 'SSPL-1.0' } }]
  expect(
    unlicensed([
      { purl: 'a', name: 'a', version: '1', licenses: strange },
      { purl: 'b', name: 'b', version: '1' },
    ]),
  ).toEqual(['a', 'b'])
})

test('attack 26: docs/dependencies.md lists what a server and its clients consist of', async () => {
  const rows = new Map(
    production.map(([place, { version, license, optional, hasInstallScript }]) => {
      const notes = [license, optional === true && 'optional', hasInstallScript === true && 'has an install script']
      const name = `${nameOf(place)} ${version}`
      return [name, `- ${name}: ${notes.filter(Boolean).join(', ')}`]
    }),
  )
  const text = `# Dependencies

What \`npm install --omit=dev\` brings: all packages that a server and its clients consist of beside our own, from the lock file. Optional ones are mostly binaries for one system each. Written by \`npx vitest run --project server test/attacks/supply.test.ts -u\`, and checked by that test.

${[...rows]
  .sort(([a], [b]) => (a < b ? -1 : 1))
  .map(([, row]) => row)
  .join('\n')}
`
  await expect(text).toMatchFileSnapshot(join(ROOT, 'docs/dependencies.md'))
})
