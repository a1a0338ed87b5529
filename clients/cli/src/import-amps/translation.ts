import type { AmpsElement, AmpsQueue } from './configuration.ts'
import { DEFAULTS, type Other, type Outcome, RULES } from './rules.ts'
import type { TomlValue } from './toml.ts'

/** What became of one element, or of the absence of one. */
export interface Remark extends Outcome {
  readonly element: string
  /** Of an element in a queue. */
  readonly value?: string
  readonly line?: number
  /** It is not there, and so AMPS's default was taken over. */
  readonly isAbsent?: boolean
}

/** A queue of AMPS as a queue here; without `options` it could not be taken over at all. */
export interface Translation {
  readonly kind: string
  readonly line: number
  readonly name: string
  readonly options?: Readonly<Record<string, TomlValue>>
  readonly remarks: readonly Remark[]
}

const NAME_BYTES_MAX = 255

/** Makes queues of ours of those of AMPS. A name is used once here, whatever the message types are. */
export function translate(queues: readonly AmpsQueue[]): Translation[] {
  const taken = new Set<string>()
  return queues.map(queue => {
    const translation = translateQueue(queue, taken)
    if (translation.options !== undefined) taken.add(translation.name)
    return translation
  })
}

function translateQueue(queue: AmpsQueue, taken: ReadonlySet<string>): Translation {
  const { kind, line } = queue
  const first = new Map<string, AmpsElement>()
  for (const element of queue.elements) if (!first.has(element.name)) first.set(element.name, element)
  const other: Other = name => first.get(name)?.value
  const named = first.get('Name') ?? first.get('Topic')
  const name = named?.value ?? ''
  const problem = problemOf(name, taken)
  if (problem !== undefined) {
    const remark = {
      ...(named ?? { element: 'Name' }),
      element: named?.name ?? 'Name',
      taken: 'not',
      why: problem,
    } as const
    return { kind, line, name, remarks: [remark] }
  }
  const remarks = [
    ...kindRemark(queue),
    ...queue.elements.map(element => remarkOf(element, first, other)),
    ...absentRemarks(first, other),
  ]
  const options = Object.assign({}, ...remarks.map(remark => remark.options ?? {})) as Record<string, TomlValue>
  return { kind, line, name, options: { name, ...options }, remarks }
}

/** Why a queue cannot be taken over under its name. */
function problemOf(name: string, taken: ReadonlySet<string>): string | undefined {
  if (name === '') return 'a queue needs a name'
  if (hasVariable(name)) return VARIABLE
  if (taken.has(name)) return 'there is a queue of this name already, and message types do not tell queues apart here'
  const fits = Buffer.byteLength(name) <= NAME_BYTES_MAX && !/^(\.\.?|\$.*)$/.test(name) && !/\p{Cc}/u.test(name)
  return fits
    ? undefined
    : `a name has at most ${NAME_BYTES_MAX} bytes, no control characters, does not begin with "$" and is not "." or ".."`
}

const VARIABLE = 'variables of the environment are not put in: write the value in its place and import again'

function hasVariable(value: string): boolean {
  return /\$\{[^}]*\}/.test(value)
}

function kindRemark({ kind, line }: AmpsQueue): Remark[] {
  if (kind === 'LocalQueue') return []
  const why = 'the queue is on one server and is not replicated'
  return [{ element: kind, line, taken: 'approximately', why }]
}

function remarkOf(element: AmpsElement, first: ReadonlyMap<string, AmpsElement>, other: Other): Remark {
  const { name, value, line } = element
  return { element: name, value, line, ...outcomeOf(element, first, other) }
}

function outcomeOf(element: AmpsElement, first: ReadonlyMap<string, AmpsElement>, other: Other): Outcome {
  const { name, value } = element
  const isSecondName = name === 'Topic' && first.has('Name')
  if (isSecondName || first.get(name) !== element)
    return { taken: 'not', why: 'it is given twice, and the first one counts' }
  if (name === 'Name' || name === 'Topic') return { taken: 'exactly', options: { name: value } }
  const rule = Object.hasOwn(RULES, name) ? RULES[name] : undefined
  if (rule === undefined) return { taken: 'not', why: 'it is no element of a queue that is known' }
  return hasVariable(value) ? { taken: 'not', why: VARIABLE } : rule(value, other)
}

/** Where AMPS does something else than we do when nothing is said. */
function absentRemarks(first: ReadonlyMap<string, AmpsElement>, other: Other): Remark[] {
  return Object.entries(DEFAULTS)
    .filter(([name]) => !first.has(name))
    .map(([name, rule]) => ({ element: name, isAbsent: true, ...rule('', other) }))
    .filter(({ options }) => Object.keys(options ?? {}).length > 0)
}
