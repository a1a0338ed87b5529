import { compileFilter, FilterError, type FilterOptions, type FilterSubject } from '../../src/filters/index.ts'

type PropertyValue = string | number | boolean
export type MessageProperties = Readonly<Record<string, PropertyValue>>
export type Headers = Readonly<Record<string, PropertyValue | Uint8Array>>

export interface Message {
  readonly properties?: MessageProperties
  readonly headers?: Headers
}

/** A message whose body stands between other bytes, as it does in a frame. */
export function message(body: string | Uint8Array, { properties = {}, headers = {} }: Message = {}): FilterSubject {
  const inner = typeof body === 'string' ? new TextEncoder().encode(body) : body
  const bytes = new Uint8Array(inner.length + 10)
  bytes.set(new TextEncoder().encode('{"x":'), 0)
  bytes.set(inner, 5)
  bytes.set(new TextEncoder().encode('"a":1'), 5 + inner.length)
  return {
    bytes,
    start: 5,
    end: 5 + inner.length,
    queue: 'orders',
    property: name => properties[name],
    header: name => headers[name],
  }
}

/** Whether `expression` matches a message with this body: a JSON text, or a value that is written as one. */
export function matches(expression: string, body: unknown = {}, about?: Message): boolean {
  const text = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body)
  return compileFilter(expression).matches(message(text, about))
}

/** The message of the error that `expression` gives. */
export function refusal(expression: string, options?: FilterOptions): string {
  try {
    compileFilter(expression, options)
  } catch (error) {
    if (error instanceof FilterError) return error.message
    throw error
  }
  return 'accepted'
}
