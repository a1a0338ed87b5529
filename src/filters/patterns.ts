import { RE2JS } from 're2js'
import { isAscii } from './bytes.ts'
import type { Evaluation } from './evaluation.ts'
import { PATTERN_BYTES_MAX, PATTERN_INSTRUCTIONS_MAX } from './limits.ts'
import type { WrittenString } from './tree.ts'

/**
 * The patterns of `LIKE` and `REGEXP_…`: Perl syntax, matched byte by byte, on an engine whose time is linear in
 * the text. What needs backtracking is refused. Where that engine and PCRE read a pattern differently:
 * `$` is the very end of the text (PCRE: also before a last newline), and `\v` is refused.
 */
export class Pattern {
  readonly #engine: RE2JS
  readonly #instructions: number
  readonly #foldsCase: boolean
  /** The text to look for where the pattern is only that: most are, and need no engine. */
  readonly #plain: string | undefined

  /** @throws what `refuse` makes of the reason, when the pattern cannot be used */
  constructor(written: WrittenString, refuse: (expected: string) => Error) {
    if (written.text === '') throw refuse('a pattern that is not empty')
    if (written.text.length > PATTERN_BYTES_MAX) throw refuse(`a pattern of at most ${PATTERN_BYTES_MAX} bytes`)
    this.#plain = written.exact || PLAIN.test(written.text) ? written.text : undefined
    const perl = written.exact ? RE2JS.quote(written.text) : withoutLayout(written.text, refuse)
    this.#foldsCase = FOLDS_CASE.test(perl)
    const tooMuch = 'a pattern with fewer or smaller repetitions'
    if (sizeOf(perl) > 4 * PATTERN_INSTRUCTIONS_MAX) throw refuse(tooMuch)
    this.#engine = compile(this.#foldsCase ? shiftPattern(perl) : perl, refuse)
    this.#instructions = this.#engine.programSize()
    if (this.#instructions > PATTERN_INSTRUCTIONS_MAX) throw refuse(tooMuch)
    limitMemory(this.#engine)
  }

  /** Whether the pattern matches anywhere in `text`, a byte string. */
  isIn(evaluation: Evaluation, text: string): boolean {
    if (this.#plain !== undefined) {
      evaluation.spendOnSearch(text, this.#plain)
      return text.includes(this.#plain)
    }
    evaluation.checkText(text.length)
    evaluation.spend(text.length * this.#instructions)
    return this.#engine.test(this.#shifted(text))
  }

  /** The first text that matches. */
  firstIn(evaluation: Evaluation, text: string): string | undefined {
    evaluation.checkText(text.length)
    evaluation.spend(text.length * this.#instructions)
    const matcher = this.#engine.matcher(this.#shifted(text))
    return matcher.find() ? text.slice(matcher.start(), matcher.end()) : undefined
  }

  /** `text` with `replacement`, in which nothing is special, for every match. */
  replaceIn(evaluation: Evaluation, text: string, replacement: string): string {
    evaluation.checkText(text.length)
    const matcher = this.#engine.matcher(this.#shifted(text))
    let result = ''
    let copied = 0
    for (;;) {
      // Each search may run to the end before it settles for a short match, so each pays for all that is left.
      evaluation.spend((text.length - copied + 1) * this.#instructions)
      if (!matcher.find()) return result + text.slice(copied)
      result += text.slice(copied, matcher.start()) + replacement
      copied = matcher.end()
      evaluation.checkText(result.length + text.length - copied)
    }
  }

  #shifted(text: string): string {
    return this.#foldsCase && !isAscii(text) ? shift(text) : text
  }
}

const PLAIN = /^[^\\^$.|?*+()[\]{}]*$/
const FOLDS_CASE = /\(\?[a-z]*i/

/** One thing in a pattern: a quoted part, an escape, a class, a count, the start of a group, or a character. */
const PIECE = String.raw`\\Q.*?(?:\\E|$)|\\.|\[\^?\]?(?:\[:\^?[a-z]+:\]|\\.|[^\]\\])*\]|\{[0-9]+,?[0-9]*\}|\(\?[A-Za-z-]*|.`
const PIECES = new RegExp(PIECE, 'gs')
const PIECES_AND_LAYOUT = new RegExp(String.raw`\s+|#[^\n]*|${PIECE}`, 'gs')
const LEADING_FLAGS = /^\(\?([imsx]+)\)/

/** Carries out a leading `(?x)`, which the engine does not know, and refuses `(?U)`, which it would accept. */
function withoutLayout(pattern: string, refuse: (expected: string) => Error): string {
  let flags = ''
  let rest = pattern
  for (let found = LEADING_FLAGS.exec(rest); found; found = LEADING_FLAGS.exec(rest)) {
    flags += found[1]
    rest = rest.slice(found[0].length)
  }
  const pieces = rest.match(flags.includes('x') ? PIECES_AND_LAYOUT : PIECES) ?? []
  for (const piece of pieces) {
    if (/^\(\?.*U/.test(piece)) throw refuse('a pattern without the flag (?U)')
    // The engine takes it for one character, PCRE for all that end a line.
    if (piece === '\\v') throw refuse(String.raw`a pattern without \v: write [\x0a-\x0d]`)
  }
  const engineFlags = [...new Set(flags)].filter(flag => flag !== 'x').join('')
  const kept = flags.includes('x') ? pieces.filter(piece => !/^[\s#]/.test(piece)) : pieces
  return (engineFlags && `(?${engineFlags})`) + kept.join('')
}

/**
 * About how many pieces a pattern has once its counts are written out, mostly more than the engine then needs. Asked
 * before the engine does so: 240,000 instructions, for which 251 characters are enough, take it 0.4 s.
 */
function sizeOf(pattern: string): number {
  const around: number[] = []
  let group = 0
  let item = 0
  for (const piece of pattern.match(PIECES) ?? []) {
    const [, least, most] = /^\{([0-9]+),?([0-9]*)\}$/.exec(piece) ?? []
    if (least !== undefined) {
      const repeated = item * Number(most || least)
      group += repeated - item
      item = repeated
    } else if (piece.startsWith('(')) {
      around.push(group)
      group = 0
    } else {
      item = piece === ')' ? group : 1
      group = piece === ')' ? group + (around.pop() ?? 0) : group + 1
    }
  }
  return around.reduce((sum, size) => sum + size, group)
}

/**
 * Moves the bytes from 128 to where no character has another case. The engine folds case as Unicode does, and
 * would take the byte C3 for E3, which are à and ã to it but halves of unlike characters here.
 */
function shift(text: string): string {
  return text.replace(/[\x80-\xff]/g, byte => String.fromCharCode(byte.charCodeAt(0) + SHIFT))
}

const SHIFT = 0xe000
const NUMBERED = /\\x\{([0-9A-Fa-f]+)\}|\\x([0-9A-Fa-f]{2})|\\([0-7]{3})|\\./gs

/** A pattern for shifted text: its bytes from 128 are moved too, also those written as numbers. */
function shiftPattern(pattern: string): string {
  const pieces = pattern.match(PIECES) ?? []
  return pieces.map(piece => shift(piece.startsWith('\\Q') ? piece : piece.replace(NUMBERED, shiftNumbered))).join('')
}

function shiftNumbered(written: string, braced?: string, hex?: string, octal?: string): string {
  const code = octal === undefined ? Number.parseInt(braced ?? hex ?? '0', 16) : Number.parseInt(octal, 8)
  return code < 0x80 || code > 0xff ? written : `\\x{${(code + SHIFT).toString(16)}}`
}

function compile(pattern: string, refuse: (expected: string) => Error): RE2JS {
  try {
    return RE2JS.compile(pattern, RE2JS.DISABLE_UNICODE_GROUPS)
  } catch (error) {
    const reason = (error instanceof Error ? error.message : String(error)).replace('error parsing regexp: ', '')
    const fragment = /`(.*)`/s.exec(reason)?.[1] ?? ''
    const construct = CONSTRUCTS.find(([, shape]) => shape.test(fragment))?.[0]
    if (construct) throw refuse(`a pattern without ${construct} ${fragment}, since patterns run in linear time`)
    throw refuse(`a valid pattern; this one has ${/^[aeiou]/.test(reason) ? 'an' : 'a'} ${reason}`)
  }
}

/** What other engines know and this one cannot, by the text at which it stops. */
const CONSTRUCTS: readonly (readonly [name: string, shape: RegExp])[] = [
  ['look-ahead', /^\(\?[=!]/],
  ['look-behind', /^\(\?<[=!]/],
  ['the atomic group', /^\(\?>/],
  ['the condition', /^\(\?\(/],
  ['recursion', /^\(\?(?:R|[0-9+-]|&)/],
  ['the back-reference', /^\\[1-9gk]/],
  // The engine stops before it tells (?P=name) from (?P>name).
  ['the back-reference or recursion', /^\(\?P$/],
  ['the possessive quantifier', /^(?:[*+?]|\{[0-9,]*\})\+$/],
  ['the Unicode class', /^\\[pP]/],
  ['the flag', /^\(\?[A-Za-z]/],
]

/** What the engine may keep of the states it has met, in bytes for each pattern. */
const ENGINE_MEMORY_BYTES = 256 * 1024

/**
 * The engine's default is 8 MiB for each pattern, and a thousand subscriptions can each bring one. It has no public
 * setting. With less it turns sooner to its slower way without states, which for the dearest patterns is the
 * faster one: `a[ab]{20}c` over 64 KiB took 20 ms instead of 130.
 */
function limitMemory(engine: RE2JS): void {
  const { dfa } = engine.re2() as unknown as { dfa: { maxMem: number; stateBudget: number; memBudget: number } }
  dfa.maxMem = ENGINE_MEMORY_BYTES
  dfa.stateBudget = ENGINE_MEMORY_BYTES
  dfa.memBudget = ENGINE_MEMORY_BYTES
}
