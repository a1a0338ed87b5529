import { counted } from '../format.ts'
import type { Talk } from '../talk.ts'
import type { Taken } from './rules.ts'
import { oneLine, tomlComment, tomlPair } from './toml.ts'
import type { Remark, Translation } from './translation.ts'

/** Longest part of a value that is quoted in a sentence. */
const QUOTED_MAX = 120
/** There may be queues in what is included. */
const INCLUDES = 'The files that are included are not read: import each of them, or all of it put into one file.'
const WORDS: Readonly<Record<Taken, string>> = {
  exactly: 'exactly',
  approximately: 'approximately',
  not: 'not taken over',
}

/** The file for Sluice: a table for each queue, each option under the remark that tells where it comes from. */
export function tomlOf(file: string, translations: readonly Translation[], otherParts: readonly string[]): string {
  const head = [
    `The queues of ${file}, by "sluice server import-amps".`,
    'Look at what is taken over approximately, and at what is not, before you rely on it.',
    ...(otherParts.length === 0 ? [] : [`Not read: ${otherParts.join(', ')}.`]),
  ]
  return [head.map(tomlComment), ...translations.map(tableOf)].map(lines => `${lines.join('\n')}\n`).join('\n')
}

function tableOf({ kind, line, name, options, remarks }: Translation): string[] {
  const title = `<${kind}> of line ${line}`
  if (options === undefined) {
    const whys = remarks.map(({ why }) => why).join('; ')
    return [tomlComment(`${title}${name === '' ? '' : `, ${name}`}, is not taken over: ${whys}`)]
  }
  return [tomlComment(title), '[[queue]]', ...remarks.flatMap(linesOf)]
}

function linesOf(remark: Remark): string[] {
  const pairs = Object.entries(remark.options ?? {}).map(([option, value]) => tomlPair(option, value))
  // A name taken over as it is needs no comment.
  return remark.options?.['name'] === undefined ? [tomlComment(sentenceOf(remark)), ...pairs] : pairs
}

/** `approximately: <Filter>/a = 1</Filter>: a publish that does not match is refused here` */
function sentenceOf({ element, value, isAbsent, taken, why }: Remark): string {
  const what = value === undefined ? `<${element}>` : `<${element}>${shortened(value)}</${element}>`
  return `${WORDS[taken]}: ${isAbsent ? 'no ' : ''}${what}${why === undefined ? '' : `: ${why}`}`
}

/** Says for each element what became of it. */
export function sayTranslations(talk: Talk, translations: readonly Translation[], otherParts: readonly string[]): void {
  for (const { kind, line, name, options, remarks } of translations) {
    talk.say(`${oneLine(name === '' ? '(no name)' : name)}   <${kind}>, line ${line}`)
    for (const remark of remarks) sayRemark(talk, remark)
    if (options === undefined) talk.say('   The queue is not taken over.')
  }
  if (otherParts.length > 0) talk.say(`Not read: ${oneLine(otherParts.join(', '))}.`)
  if (otherParts.some(part => /\bInclude$/.test(part))) talk.warn(INCLUDES)
  talk.say(`${countOf(translations)}`)
}

function sayRemark(talk: Talk, { element, value, isAbsent, taken, options, why }: Remark): void {
  const what = `${isAbsent ? 'no ' : ''}${element}${value === undefined ? '' : ` ${shortened(value)}`}`
  const pairs = Object.entries(options ?? {}).map(([option, value]) => tomlPair(option, value))
  const became = taken === 'not' || pairs.length === 0 ? [] : [` → ${pairs.join(', ')}`]
  const line = oneLine([what, ...became, ...(why === undefined ? [] : [`: ${why}`])].join(''))
  if (taken === 'exactly') talk.done(`exactly         ${line}`)
  else if (taken === 'approximately') talk.warn(`approximately   ${line}`)
  else talk.failed(`not             ${line}`)
}

function countOf(translations: readonly Translation[]): string {
  const remarks = translations.flatMap(({ remarks }) => remarks)
  const number = (taken: Taken) => remarks.filter(remark => remark.taken === taken).length
  const done = translations.filter(({ options }) => options !== undefined).length
  return `${done} of ${counted(translations.length, 'queue')} taken over; of what they say, ${number('exactly')} exactly, ${number('approximately')} approximately, ${number('not')} not.`
}

function shortened(value: string): string {
  return value.length > QUOTED_MAX ? `${value.slice(0, QUOTED_MAX)}…` : value
}
