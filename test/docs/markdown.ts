import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url))

/** A fenced block of a document, and the comments that stand directly above it: `<!-- key: value -->`. */
export interface Block {
  readonly document: string
  /** Of its first fence, from 1. */
  readonly line: number
  readonly language: string
  readonly text: string
  readonly marks: ReadonlyMap<string, string>
}

/** README and everything in docs but the decisions and the change log, which describe a time and not the present. */
export function documents(): string[] {
  const inDocs = readdirSync(path.join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.md') && !name.startsWith('decisions'))
    .map(name => path.posix.join('docs', name))
  return ['README.md', ...inDocs.sort()]
}

export function read(document: string): string {
  return readFileSync(path.join(ROOT, document), 'utf8')
}

/** All fenced blocks, in order. */
export function blocksOf(document: string): Block[] {
  const blocks: Block[] = []
  const fences = /((?:^<!--(?:(?!-->)[\s\S])*-->\n+)*)^```([a-z]*)\n([\s\S]*?)^```$/gm
  const text = read(document)
  for (const { 0: all, 1: comments = '', 2: language = '', 3: body = '', index } of text.matchAll(fences)) {
    const line = text.slice(0, index + all.indexOf('```')).split('\n').length
    blocks.push({ document, line, language, text: body, marks: marksOf(comments) })
  }
  return blocks
}

function marksOf(comments: string): Map<string, string> {
  return new Map(
    [...comments.matchAll(/<!-- *([a-z ]+?)(?:: *((?:(?!-->)[\s\S])*?))? *-->/g)].map(([, key, value]) => [
      key as string,
      value ?? '',
    ]),
  )
}

/**
 * What a block with the mark `from: FILE#REGION` must show: the lines between `// #region REGION` and `// #endregion`, moved to
 * the left. Without `#REGION` the file, without the comment at its head.
 */
export function sourceOf(from: string): string {
  const [file = '', region] = from.split('#')
  const text = read(file)
  if (region === undefined) return `${text.replace(/^\/\*[\s\S]*?\*\/\n/, '').trim()}\n`
  const found = new RegExp(`^ *// #region ${region}\n((?:.|\n)*?)^ *// #endregion`, 'm').exec(text)
  if (found === null) throw new Error(`${file} has no region ${region}`)
  const lines = (found[1] as string).split('\n').filter(line => !/^ *\/\/ #(?:end)?region\b/.test(line))
  const indents = lines.filter(line => line.trim() !== '').map(line => line.length - line.trimStart().length)
  const margin = Math.min(...indents)
  return `${lines
    .map(line => line.slice(margin))
    .join('\n')
    .trim()}\n`
}

/** The document with each block that is taken from a source as the source is now. */
export function withSources(document: string): string {
  return read(document).replace(
    /(^<!-- from: (\S+) -->\n+```[a-z]*\n)[\s\S]*?(^```$)/gm,
    (_, head: string, from: string, tail: string) => head + sourceOf(from) + tail,
  )
}

/** Anchors of a document's headings, as GitHub makes them. */
export function anchorsOf(document: string): Set<string> {
  const anchors = new Set<string>()
  const text = read(document).replace(/^```[\s\S]*?^```$/gm, '')
  for (const [, heading] of text.matchAll(/^#{1,6} +(.+)$/gm)) {
    const plain = (heading as string).replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    const slug = plain
      .trim()
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\p{M} _-]/gu, '')
      .replace(/ /g, '-')
    let anchor = slug
    for (let times = 1; anchors.has(anchor); times++) anchor = `${slug}-${times}`
    anchors.add(anchor)
  }
  return anchors
}

/** Targets of all links and pictures, outside code. */
export function linksOf(document: string): string[] {
  const text = read(document)
    .replace(/^```[\s\S]*?^```$/gm, '')
    .replace(/`[^`\n]*`/g, '')
  const inMarkdown = [...text.matchAll(/\]\(<?([^)\s>]+)>?[^)]*\)/g)].map(([, target]) => target as string)
  const inHtml = [...text.matchAll(/\b(?:src|href|srcset)="([^"]+)"/g)].map(([, target]) => target as string)
  return [...inMarkdown, ...inHtml]
}
