import { parseXml, XmlDocumentType, XmlElement, XmlError } from '@rgrove/parse-xml'
import { REFUSED, Stop } from '../exit.ts'

/** An element of a queue, with its text. */
export interface AmpsElement {
  readonly name: string
  readonly value: string
  readonly line: number
}

/** A queue as an AMPS configuration file has it. */
export interface AmpsQueue {
  /** Name of the element: `Queue`, `LocalQueue`, … */
  readonly kind: string
  readonly line: number
  readonly elements: readonly AmpsElement[]
}

export interface AmpsConfiguration {
  readonly queues: readonly AmpsQueue[]
  /** Names of the other parts of the file, each once. */
  readonly otherParts: readonly string[]
}

/** `Queue` and `QueueDefinition` are one thing in two words; the other two say how a queue is replicated. */
const QUEUES: readonly string[] = ['Queue', 'QueueDefinition', 'LocalQueue', 'GroupLocalQueue']
/** Parts of a file that hold queues: `SOW` was called `TopicMetaData` before. */
const HOLDERS: readonly string[] = ['SOW', 'TopicMetaData']

/**
 * Reads the queues out of an AMPS configuration file.
 *
 * A file with a document type is refused: nothing it names is ever fetched or put in, and what would be missing by that
 * could be a queue.
 *
 * @throws Stop when it is no well-formed XML, or has a document type
 */
export function readConfiguration(xml: string): AmpsConfiguration {
  const { root, lineOf } = parsed(xml)
  const queues: AmpsQueue[] = []
  const otherParts = new Set<string>()
  const visit = (element: XmlElement): void => {
    for (const child of childrenOf(element)) {
      if (QUEUES.includes(child.name)) queues.push(queueOf(child, lineOf))
      else if (HOLDERS.includes(child.name)) visit(child)
      else otherParts.add(element === root ? child.name : `${element.name}/${child.name}`)
    }
  }
  // A snippet that is to be included may be a queue alone.
  if (QUEUES.includes(root.name)) queues.push(queueOf(root, lineOf))
  else visit(root)
  return { queues, otherParts: [...otherParts] }
}

function parsed(xml: string): { readonly root: XmlElement; readonly lineOf: (element: XmlElement) => number } {
  const undefinedEntities: string[] = []
  // Undefined entities are let pass first: a file that has a document type is to be told so, and not that an entity is missing.
  const resolveUndefinedEntity = (entity: string) => {
    undefinedEntities.push(entity)
    return ''
  }
  const document = wellFormed(() =>
    parseXml(xml, { preserveDocumentType: true, includeOffsets: true, resolveUndefinedEntity }),
  )
  if (document.children.some(node => node instanceof XmlDocumentType)) {
    throw new Stop(
      REFUSED,
      'The file has a document type (<!DOCTYPE …>), which is not taken: it can bring in other files.',
      'Put the text of its entities in their place, and take the document type out.',
    )
  }
  if (undefinedEntities[0] !== undefined) {
    throw new Stop(REFUSED, `The file is no well-formed XML: ${undefinedEntities[0]} is not defined.`)
  }
  if (document.root === null) throw new Stop(REFUSED, 'The file is no well-formed XML: there is no element in it.')
  return { root: document.root, lineOf: lineCounter(xml) }
}

/** Lines are asked for in the order of the text, so each is counted on from the one before. */
function lineCounter(text: string): (element: XmlElement) => number {
  let line = 1
  let at = 0
  return ({ start }) => {
    for (; at < start; at++) if (text[at] === '\n') line += 1
    return line
  }
}

function wellFormed<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    if (error instanceof XmlError) {
      const { line, column } = error
      const what = error.message.split('\n')[0]!.replace(/ \(line \d+, column \d+\)$/, '')
      throw new Stop(REFUSED, `The file is no well-formed XML: line ${line}, column ${column}: ${what}.`)
    }
    if (error instanceof RangeError) throw new Stop(REFUSED, 'The elements of the file are nested too deep.')
    throw error
  }
}

function queueOf(element: XmlElement, lineOf: (element: XmlElement) => number): AmpsQueue {
  const line = lineOf(element)
  const elements = childrenOf(element).map(child => ({
    name: child.name,
    value: child.text.trim(),
    line: lineOf(child),
  }))
  return { kind: element.name, line, elements }
}

function childrenOf(element: XmlElement): XmlElement[] {
  return element.children.filter(node => node instanceof XmlElement)
}
