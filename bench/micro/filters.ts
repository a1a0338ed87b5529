import { compileFilter, type FilterSubject } from '../../src/filters/index.ts'
import type { Part } from './part.ts'

const SMALL = { store: 17, sku: 'A-4711', price: 12.5, text: 'x'.repeat(45) }
const LARGE = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`field${i}`, `value ${i}`]))
const COUNT = 100

export function filters(): Part {
  return {
    cases: [
      judge('/is_eof = 1, key absent, 100 B', '/is_eof = 1', SMALL, false),
      judge('/is_eof = 1, key absent, 1 KiB', '/is_eof = 1', LARGE, false),
      judge('/is_eof = 1, true, 100 B', '/is_eof = 1', { ...SMALL, is_eof: 1 }, true),
      judge('/price > 10 AND /store IN (1, 17), 100 B', '/price > 10 AND /store IN (1, 17)', SMALL, true),
      judge("/sku LIKE '^A-[0-9]+$', 100 B", "/sku LIKE '^A-[0-9]+$'", SMALL, true),
      judge("/field49 = 'value 49', 1 KiB", "/field49 = 'value 49'", LARGE, true),
    ],
  }

  function judge(name: string, expression: string, body: object, expected: boolean) {
    const filter = compileFilter(expression)
    const bytes = Buffer.from(JSON.stringify(body))
    const subject: FilterSubject = {
      bytes,
      start: 0,
      end: bytes.length,
      queue: 'orders',
      property: () => undefined,
      header: () => undefined,
    }
    return {
      name,
      messages: COUNT,
      step: () => {
        for (let i = 0; i < COUNT; i++) if (filter.matches(subject) !== expected) throw new Error(`${name} went wrong`)
      },
    }
  }
}
