import { brownFiles, brownLines, wordsOf } from '../shared/brown.ts'

export type WordCounts = Map<string, number>

/** What it is all measured against: one process, one loop, no queue. */
export function countPlainly(): WordCounts {
  const counts: WordCounts = new Map()
  for (const file of brownFiles()) {
    for (const line of brownLines(file)) {
      for (const word of wordsOf(line)) counts.set(word, (counts.get(word) ?? 0) + 1)
    }
  }
  return counts
}

/** Words whose counts differ, as a sentence each; empty if the two are equal. */
export function differences(counted: WordCounts, expected: WordCounts): string[] {
  const words = new Set([...counted.keys(), ...expected.keys()])
  return [...words].flatMap(word => {
    const [got, wanted] = [counted.get(word) ?? 0, expected.get(word) ?? 0]
    return got === wanted ? [] : [`"${word}": ${got} times, and not ${wanted}`]
  })
}
