import type { Client, Queue } from '@sluice/client'
import { brownFiles, brownLines } from '../shared/brown.ts'

/** Queue in which the counts of all word queues are joined. */
export const RESULTS = 'word-counts'

export async function openWords(client: Client, name: string): Promise<Queue<string>> {
  const words = client.queue<string>(name, { codec: 'text' })
  await words.declare()
  return words
}

/** The Brown corpus, again and again, until there is enough of it. ASCII: a character is a byte. */
export function largeText(bytes: number): string {
  const corpus = brownFiles()
    .flatMap(file => brownLines(file))
    .join('\n')
  return corpus.repeat(Math.ceil(bytes / corpus.length)).slice(0, bytes)
}

/** Cuts a text into so many parts of about the same length, never within a word. */
export function split(text: string, parts: number): string[] {
  const ends = Array.from({ length: parts }, (_, index) =>
    endOfWord(text, Math.ceil((text.length * (index + 1)) / parts)),
  )
  return ends.map((end, index) => text.slice(ends[index - 1] ?? 0, end))
}

function endOfWord(text: string, at: number): number {
  const end = text.slice(at).search(/\s/)
  return end < 0 ? text.length : at + end
}

export function countOf(text: string, wanted: string): number {
  let count = 0
  for (const word of text.split(/\s+/)) if (word === wanted) count += 1
  return count
}
