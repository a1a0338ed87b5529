import type { Other, Outcome } from './rules.ts'

/** Functions that filter expressions know here: an unknown one would keep the server from starting. */
export const FUNCTIONS: ReadonlySet<string> = new Set([
  'ABS',
  'ARRAY_COUNT',
  'ARRAY_TO_STRING',
  'BOOKMARK',
  'CHAR_VALUE',
  'COALESCE',
  'CONCAT',
  'CORRELATION_ID',
  'FALSE_VALUE',
  'IF',
  'INSTR',
  'INSTR_I',
  'LAST_UPDATED',
  'LOWER',
  'MESSAGE_SIZE',
  'NAN_VALUE',
  'REGEXP_MATCH',
  'REGEXP_REPLACE',
  'REPLACE',
  'REVERSE',
  'SOW_KEY',
  'STREQUAL_I',
  'STRFTIME',
  'STRPTIME',
  'SUBSTR',
  'TOPIC_NAME',
  'TRUE_VALUE',
  'UNIX_TIMESTAMP',
  'UPPER',
])

/** These give something else here, or nothing, for there are no topics. */
const ABOUT_TOPICS: ReadonlySet<string> = new Set(['BOOKMARK', 'LAST_UPDATED', 'SOW_KEY', 'TOPIC_NAME'])
/** What stands before a bracket without being a function. */
const WORDS: ReadonlySet<string> = new Set(['AND', 'OR', 'NOT', 'IN', 'WITH', 'BETWEEN', 'LIKE', 'MOD'])

/**
 * Takes an expression over as it is: the language is the same.
 *
 * @param why what is different about it all the same
 */
export function expressionRule(option: string, why?: string): (value: string, other: Other) => Outcome {
  return (value, other) => {
    const type = other('MessageType') ?? 'json'
    if (type !== 'json') return { taken: 'not', why: `expressions read JSON here, and this is ${type}` }
    if (value === '') return { taken: 'not', why: 'it is empty' }
    const functions = functionsOf(value)
    const unknown = functions.find(name => !FUNCTIONS.has(name))
    if (unknown !== undefined) return { taken: 'not', why: `there is no function ${unknown} here` }
    const about = functions.find(name => ABOUT_TOPICS.has(name))
    const whys = [
      ...(why === undefined ? [] : [why]),
      ...(about === undefined ? [] : [`${about} is of the queue here, for there are no topics`]),
    ]
    if (whys.length === 0) return { taken: 'exactly', options: { [option]: value } }
    return { taken: 'approximately', options: { [option]: value }, why: whys.join('; ') }
  }
}

/** Names of functions called, in capitals; what stands in quotes or in a field's name is none. */
function functionsOf(expression: string): string[] {
  const bare = expression.replace(/'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|\[\/[^\]]*\]|\/[^\s()=<>!,+*%]+/gs, ' ')
  return [...bare.matchAll(/([A-Za-z_][A-Za-z0-9_]*)\s*\(/g)]
    .map(([, name]) => name!.toUpperCase())
    .filter(name => !WORDS.has(name))
}
