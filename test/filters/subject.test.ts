import { describe, expect, test } from 'vitest'
import { compileFilter, PROPERTIES } from '../../src/filters/index.ts'
import { matches, message, refusal } from './support.ts'

describe('a message besides its body', () => {
  test('its properties are read as [/$name], and are NULL when absent', () => {
    const properties = { priority: 5, content_type: 'text/plain', message_id: 'é', outcome: 'clean' }
    expect(
      matches("[/$priority] > 4 AND [/$content_type] LIKE '^text' AND [/$message_id] = 'é'", {}, { properties }),
    ).toBe(true)
    expect(
      matches("[/$outcome] = 'clean' AND [/$group] IS NULL AND CORRELATION_ID() IS NULL", {}, { properties }),
    ).toBe(true)
    expect(
      matches("CORRELATION_ID() = 'c' AND [/$correlation_id] = 'c'", {}, { properties: { correlation_id: 'c' } }),
    ).toBe(true)
  })

  test('a property that does not exist is refused with those that do', () => {
    for (const name of PROPERTIES) expect(refusal(`[/$${name}] = 1`)).toBe('accepted')
    expect(refusal('1 = [/$prioritty]')).toMatch(
      /^column 5: expected one of the properties \[\/\$priority\], .* or \[\/\$header\/NAME\]$/,
    )
    expect(refusal('[/$header] = 1')).toMatch(/^column 1: expected one of the properties/)
    expect(refusal('[/$header/] = 1')).toMatch(/^column 1: expected one of the properties/)
  })

  test('its headers are read as [/$header/NAME], whatever characters the name has', () => {
    const headers = {
      'x/y z': 'v',
      n: 2.5,
      whole: 3,
      big: 2 ** 60,
      yes: true,
      bytes: Uint8Array.of(0xff, 0x41),
      empty: '',
      ü: 1,
    }
    const about = { headers }
    expect(
      matches("[/$header/x/y z] = 'v' AND [/$header/n] = 2.5 AND [/$header/yes] AND [/$header/ü] = 1", {}, about),
    ).toBe(true)
    expect(
      matches("[/$header/bytes] = '\\xffA' AND [/$header/empty] IS NULL AND [/$header/no] IS NULL", {}, about),
    ).toBe(true)
    expect(matches('[/$header/whole] / 2 = 1 AND [/$header/big] / 2 = 576460752303423488', {}, about)).toBe(true)
  })

  test('its size, its queue and what else AMPS knows of it are functions', () => {
    const about = { properties: { bookmark: 'b', last_updated: 7, sow_key: 'k' } }
    expect(matches("MESSAGE_SIZE() = 7 AND TOPIC_NAME() = 'orders'", '{"a":1}')).toBe(true)
    expect(matches("BOOKMARK() = 'b' AND LAST_UPDATED() = 7 AND SOW_KEY() = 'k'", {}, about)).toBe(true)
  })

  test('an expression that reads no field needs no JSON; one that reads a field matches nothing without', () => {
    const about = { properties: { priority: 5 } }
    for (const body of ['', 'plain text', '{"a":', Uint8Array.of(0, 255)]) {
      expect(matches('[/$priority] = 5 AND 1 = 1', body, about)).toBe(true)
      expect(matches('[/$priority] = 5 OR /a = 1', body, about)).toBe(false)
      expect(matches('/a IS NULL', body, about)).toBe(false)
    }
  })

  test('readsBody tells whether the bytes must be at hand', () => {
    const reads = (expression: string) => compileFilter(expression).readsBody
    expect(['/a = 1', 'MESSAGE_SIZE() > 1', 'IF(1 = 1, 2, UPPER(/a)) = 2'].map(reads)).toEqual([true, true, true])
    expect(["[/$priority] = 1 AND [/$header/x] = 'y'", "TOPIC_NAME() = 'q'", '1 = 1'].map(reads)).toEqual([
      false,
      false,
      false,
    ])
  })
})

describe('a priority', () => {
  const number = (expression: string, body: string) => compileFilter(expression).number(message(body))

  test('is the value as a number', () => {
    expect(number('/p', '{"p":7}')).toBe(7)
    expect(number('/p', '{"p":"2.5"}')).toBe(2.5)
    expect(number('/p + 1', '{"p":[2.0,9]}')).toBe(3)
    expect(number("/p = 'high'", '{"p":"high"}')).toBe(1)
    expect(number("/p = 'high'", '{}')).toBe(0)
    expect(number('/p', '{"p":18446744073709551615}')).toBe(2 ** 64)
  })

  test('is undefined for NULL, NaN, a text that is no number and a body that is not JSON', () => {
    expect(number('/p', '{}')).toBe(undefined)
    expect(number('/p', '{"p":"high"}')).toBe(undefined)
    expect(number('/p / 0', '{"p":1}')).toBe(undefined)
    expect(number('/p', '{"p":1')).toBe(undefined)
    expect(number('IF(/p = 1, 2, 3)', 'x')).toBe(undefined)
  })
})

describe('a group', () => {
  const string = (expression: string, body: string) => compileFilter(expression).string(message(body))

  test('is the value as text', () => {
    expect(string('/g', '{"g":"München"}')).toBe('München')
    expect(string('/g', '{"g":12}')).toBe('12')
    expect(string('/g', '{"g":9007199254740993}')).toBe('9007199254740993')
    expect(string("CONCAT(/a, '-', /b)", '{"a":"x","b":[1,2]}')).toBe('x-1')
  })

  test('is undefined for NULL and a body that is not JSON', () => {
    expect(string('/g', '{"g":""}')).toBe(undefined)
    expect(string('/g', '{}')).toBe(undefined)
    expect(string('/g', '{"g":"x"')).toBe(undefined)
  })
})

describe('purpose and clock', () => {
  test('UNIX_TIMESTAMP is the given clock, as a double', () => {
    const filter = compileFilter('UNIX_TIMESTAMP() / 2 = 1.5', { now: () => 3 })
    expect(filter.matches(message('{}'))).toBe(true)
  })

  test('UNIX_TIMESTAMP is the clock of the machine when none is given', () => {
    expect(matches('UNIX_TIMESTAMP() > 1700000000')).toBe(true)
  })

  test('what changes with time is refused in the expressions of a queue', () => {
    expect(refusal('/t < UNIX_TIMESTAMP()', { purpose: 'subscription' })).toBe('accepted')
    expect(refusal('/t < UNIX_TIMESTAMP()', { purpose: 'queue' })).toBe(
      'column 6: expected no call of UNIX_TIMESTAMP: the expressions of a queue must not depend on when they are evaluated',
    )
    expect(refusal('LAST_READ() > 1', { purpose: 'queue' })).toMatch(/instead of LAST_READ$/)
  })

  test('a filter keeps its text', () => {
    expect(compileFilter(" /ä = 'ü' ").text).toBe(" /ä = 'ü' ")
  })

  test('a subject that throws is no match', () => {
    const subject = {
      ...message('{}'),
      header() {
        throw new Error('broken')
      },
    }
    expect(compileFilter("[/$header/a] = 'x'").matches(subject)).toBe(false)
  })
})
