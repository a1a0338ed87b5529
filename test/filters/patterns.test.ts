import { describe, expect, test } from 'vitest'
import { matches, refusal } from './support.ts'

const like = (pattern: string, text: string | Uint8Array) => {
  if (typeof text === 'string') return matches(`/s LIKE '${pattern}'`, { s: text })
  return matches(`[/$header/s] LIKE '${pattern}'`, {}, { headers: { s: text } })
}

describe('a pattern', () => {
  test('matches anywhere in the text unless it is anchored', () => {
    expect(like('b', 'abc')).toBe(true)
    expect(like('^b', 'abc')).toBe(false)
    expect(like('c$', 'abc')).toBe(true)
    expect(like('^a.c$', 'abc')).toBe(true)
    expect(like('^(ab|cd)+[0-9]{2,3}?$', 'abcd123')).toBe(true)
  })

  test('keeps its backslashes, which elsewhere are escapes of the string', () => {
    expect(like('^90\\.', '90.5')).toBe(true)
    expect(like('^\\d+\\s\\w$', '42 x')).toBe(true)
    expect(like("it\\'s", "it's")).toBe(true)
    expect(like('\\x41\\102', 'AB')).toBe(true)
    expect(like('\\Qa.b\\E.', 'a.bc')).toBe(true)
  })

  test('written as a raw string matches just these characters', () => {
    expect(matches("/s LIKE r'[.*'", { s: 'a[.*' })).toBe(true)
    expect(matches("/s LIKE r'a\\d'", { s: 'a1' })).toBe(false)
    expect(matches("/s LIKE r'(?i)x'", { s: 'X' })).toBe(false)
  })

  test('works on bytes, so a dot is half an é and a class of two bytes matches either', () => {
    expect(like('^.$', 'é')).toBe(false)
    expect(like('^..$', 'é')).toBe(true)
    expect(like('é', 'café')).toBe(true)
    expect(like('^\\xc3\\xa9$', 'é')).toBe(true)
    expect(like('^[é]+$', 'é')).toBe(true)
    expect(like('^[^a]{2}$', 'é')).toBe(true)
    expect(like('\\w', 'é')).toBe(false)
    expect(like('^\\xff$', Uint8Array.of(255))).toBe(true)
  })

  test('may begin with the flags (?i), (?m), (?s) and (?x), together or one after the other', () => {
    expect(like('(?i)ell', 'HELLO')).toBe(true)
    expect(like('^b', 'a\nb')).toBe(false)
    expect(like('(?m)^b', 'a\nb')).toBe(true)
    expect(like('a.b', 'a\nb')).toBe(false)
    expect(like('(?s)a.b', 'a\nb')).toBe(true)
    expect(like('(?is)(?m)A.^B', 'a\nb')).toBe(true)
    expect(like('a(?i)b', 'aB')).toBe(true)
    expect(like('a(?i:b)c', 'aBC')).toBe(false)
  })

  test('with (?x) may have spaces and comments, but not in a class or behind a backslash', () => {
    expect(matches("/s LIKE '(?x) ^ a [ #] \\ b # the end\n $'", { s: 'a# b' })).toBe(true)
    expect(matches("/s LIKE '(?xi) A\tb \\# c'", { s: 'ab#c' })).toBe(true)
    expect(like('(?x)[[:alpha:] ]{3}', 'a b')).toBe(true)
  })

  test('with (?i) folds ASCII letters only, never the bytes of other characters', () => {
    // C3 A9 and E3 A9: to an engine that takes bytes for Latin letters, the same but for case.
    expect(like('(?i)^é', Uint8Array.of(0xe3, 0xa9))).toBe(false)
    expect(like('(?i)^\\xc3\\xa9', Uint8Array.of(0xe3, 0xa9))).toBe(false)
    expect(like('(?i)^\\303', Uint8Array.of(0xe3))).toBe(false)
    expect(like('(?i)^\\x{c3}', Uint8Array.of(0xe3))).toBe(false)
    expect(like('(?i)^[\\xc0-\\xdf]', Uint8Array.of(0xe3))).toBe(false)
    expect(like('(?i)^[\\xc0-\\xdf]', Uint8Array.of(0xc3))).toBe(true)
    expect(like('(?i)CAFé', 'Café')).toBe(true)
    expect(like('(?i)^[^a]{2}x', 'éX')).toBe(true)
    expect(like('(?i)\\Qé.\\E', 'é.')).toBe(true)
    expect(matches("REGEXP_MATCH(/s, '(?i)F.+') = 'fé!'", { s: 'Café!' })).toBe(true)
  })
})

describe('a pattern is refused by name when it', () => {
  test.each([
    ['looks ahead', 'a(?=b)', 'a pattern without look-ahead (?=, since patterns run in linear time'],
    [
      'looks ahead for what must not be',
      'a(?!b)',
      'a pattern without look-ahead (?!, since patterns run in linear time',
    ],
    ['looks behind', '(?<=a)b', 'a pattern without look-behind (?<=a)b, since patterns run in linear time'],
    [
      'looks behind for what must not be',
      '(?<!a)b',
      'a pattern without look-behind (?<!a)b, since patterns run in linear time',
    ],
    ['refers back', '(a)\\1', 'a pattern without the back-reference \\1, since patterns run in linear time'],
    [
      'refers back by name',
      '(?P<n>a)(?P=n)',
      'a pattern without the back-reference or recursion (?P, since patterns run in linear time',
    ],
    [
      'refers back by \\k',
      '(?<n>a)\\k<n>',
      'a pattern without the back-reference \\k, since patterns run in linear time',
    ],
    [
      'has a possessive quantifier',
      'a++',
      'a pattern without the possessive quantifier ++, since patterns run in linear time',
    ],
    ['has a possessive ?', 'a?+', 'a pattern without the possessive quantifier ?+, since patterns run in linear time'],
    [
      'has a possessive count',
      'a{2}+',
      'a pattern without the possessive quantifier {2}+, since patterns run in linear time',
    ],
    ['has an atomic group', '(?>a)', 'a pattern without the atomic group (?>, since patterns run in linear time'],
    ['has a condition', '(a)?(?(1)b)', 'a pattern without the condition (?(, since patterns run in linear time'],
    ['calls itself', 'a(?R)?', 'a pattern without recursion (?R, since patterns run in linear time'],
    ['has the flag A', '(?A)a', 'a pattern without the flag (?A'],
    ['has the flag U', '(?U)a', 'a pattern without the flag (?U)'],
    ['has the flag U among others', 'b(?i-U:a)', 'a pattern without the flag (?U)'],
    ['has the flag x elsewhere', 'a(?x) b', 'a pattern without the flag (?x'],
    ['has a Unicode class', '\\pL', 'a pattern without the Unicode class \\p'],
    ['has \\v', 'a\\v', 'a pattern without \\v: write [\\x0a-\\x0d]'],
    ['is not complete', 'a[', 'a valid pattern; this one has a missing closing ]: `[`'],
    ['repeats nothing', '*a', 'a valid pattern; this one has a missing argument to repetition operator: `*`'],
    ['has an unknown escape', '\\y', 'a valid pattern; this one has an invalid escape sequence: `\\y`'],
  ])('%s: %s', (_, pattern, expected) => {
    expect(refusal(`/s LIKE '${pattern}'`)).toContain(`column 9: expected ${expected}`)
  })

  test('and not when these characters stand for themselves', () => {
    expect(like('[(?U)]{4}', '(?U)')).toBe(true)
    expect(like('\\(\\?=', 'a(?=')).toBe(true)
    expect(like('\\Q(?U)\\E', '(?U)')).toBe(true)
    expect(like('\\\\v', '\\v')).toBe(true)
  })
})
