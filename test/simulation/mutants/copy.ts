import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Mutant } from './mutants.ts'

const ROOT = path.join(import.meta.dirname, '../../..')
const FOLDERS = ['src', 'protocol', 'clients/typescript', 'test/simulation', 'test/support']
const FILES = ['package.json', 'tsconfig.base.json']

/** What stands in a file of the sources. */
export function sourceOf({ file }: Mutant): string {
  return readFileSync(path.join(ROOT, file), 'utf8')
}

/** A folder with the sources, the harness and the packages, in which a bug can be planted. */
export function copySources(folder: string): void {
  const options = {
    recursive: true,
    filter: (from: string) => !/\/(dist|node_modules)(\/|$)|\.tsbuildinfo$/.test(from),
  }
  for (const name of FOLDERS) cpSync(path.join(ROOT, name), path.join(folder, name), options)
  for (const name of FILES) cpSync(path.join(ROOT, name), path.join(folder, name))
  const packages = path.join(folder, 'node_modules')
  mkdirSync(path.join(packages, '@sluice'), { recursive: true })
  for (const name of readdirSync(path.join(ROOT, 'node_modules'))) {
    if (name === '@sluice' || name.startsWith('.')) continue
    symlinkSync(path.join(ROOT, 'node_modules', name), path.join(packages, name))
  }
  symlinkSync(path.join(folder, 'protocol'), path.join(packages, '@sluice/protocol'))
  symlinkSync(path.join(folder, 'clients/typescript'), path.join(packages, '@sluice/client'))
}

/** @returns takes it out again */
export function plant(folder: string, { file, text, instead }: Mutant): () => void {
  const name = path.join(folder, file)
  const before = readFileSync(name, 'utf8')
  if (before.split(text).length !== 2) throw new Error(`${file} has this text not exactly once: ${text}`)
  writeFileSync(
    name,
    before.replace(text, () => instead),
  )
  return () => writeFileSync(name, before)
}
