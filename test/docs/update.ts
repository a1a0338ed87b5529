/*
 * Brings the documents up to date with the sources: `snippets` are parts of programs, `sdk` is the reference of @sluice/client.
 */
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { documents, ROOT, read, withSources } from './markdown.ts'
import { REFERENCE, sdkReference } from './sdk-reference.ts'

const what = process.argv[2]
const fresh: [string, string][] =
  what === 'sdk' ? [[REFERENCE, sdkReference()]] : documents().map(document => [document, withSources(document)])
for (const [document, text] of fresh) {
  if (text === read(document)) continue
  writeFileSync(path.join(ROOT, document), text)
  console.log(`${document} is up to date now`)
}
