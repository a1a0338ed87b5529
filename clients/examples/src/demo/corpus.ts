import { brownFiles, brownLines } from '../shared/brown.ts'
import type { Line } from './queues.ts'

/** Every line of the 500 files that has words on it. */
export function readCorpus(): Line[] {
  return brownFiles().flatMap(file => brownLines(file).map((text, index) => ({ file, line: index + 1, text })))
}
