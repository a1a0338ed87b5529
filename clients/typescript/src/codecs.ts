import { Packr } from 'msgpackr'
import { scanMsgpack } from './msgpack-scan.ts'

/** How bodies of a queue become bytes and back. Both directions may throw: a body that is none of this queue's. */
export interface Codec<T = unknown> {
  /** A body as bytes. */
  encode(value: T): Uint8Array
  /**
   * A body from its bytes.
   *
   * @param bytes a view that stays valid and is never written to
   */
  decode(bytes: Uint8Array): T
}

/** The codecs there are by name. `bytes` hands over what came, without a copy. */
export type CodecName = 'json' | 'msgpack' | 'bytes' | 'text'

const encoder = new TextEncoder()
/** `Buffer` takes a third of the time for what is as short as most messages (measured: 120 against 420 ns at 100 bytes). */
const utf8: (text: string) => Uint8Array =
  typeof Buffer === 'function' ? text => Buffer.from(text) : text => encoder.encode(text)
const decoder = new TextDecoder('utf-8', { fatal: true })
// Plain maps, which every other language reads; records would need the same structures at both ends.
const packr = new Packr({ useRecords: false })

const json: Codec = {
  encode(value) {
    const text = JSON.stringify(value) as string | undefined
    // `undefined`, functions and symbols have no JSON, and an empty body is not what anybody meant.
    if (text === undefined) throw new TypeError(`a ${typeof value} cannot be said in JSON`)
    return utf8(text)
  },
  decode: bytes => JSON.parse(decoder.decode(bytes)),
}

const bytes: Codec<Uint8Array> = {
  encode(value) {
    if (!(value instanceof Uint8Array)) throw new TypeError('a body of codec `bytes` is a Uint8Array')
    return value
  },
  decode: body => body,
}

const text: Codec<string> = {
  encode(value) {
    if (typeof value !== 'string') throw new TypeError('a body of codec `text` is a string')
    return utf8(value)
  },
  decode: body => decoder.decode(body),
}

const msgpack: Codec = {
  encode: value => packr.pack(value),
  decode(body) {
    scanMsgpack(body)
    return packr.unpack(body)
  },
}

// biome-ignore lint/suspicious/noExplicitAny: each has bodies of its own type
const CODECS: Readonly<Record<CodecName, Codec<any>>> = { json, msgpack, bytes, text }

/** @throws TypeError when there is none of that name */
export function codecOf<T>(codec: CodecName | Codec<T> | undefined): Codec<T> {
  if (typeof codec === 'object') return codec
  const found = CODECS[codec ?? 'json'] as Codec<T> | undefined
  if (found === undefined)
    throw new TypeError(`there is no codec ${codec}; there are ${Object.keys(CODECS).join(', ')}`)
  return found
}

/** The part of Standard Schema (standardschema.dev) that is used here: Zod, Valibot, ArkType and others have it. */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    /** Asked for each body. */
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

/** What a schema made of a value, or why it does not fit. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] }

/** What a schema found wrong, and where in the value. */
export interface SchemaIssue {
  readonly message: string
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined
}

/** Characters of what is wrong with one message: it becomes the reason of a dead letter, and a schema can find fault with every item of a list. */
const ISSUES_TEXT_MAX = 1_000

/** What a validator found, as one line: `qty: expected number; sku: required`. */
export function issuesText(issues: readonly SchemaIssue[]): string {
  const text = issues.map(({ path, message }) => (path?.length ? `${pathText(path)}: ${message}` : message)).join('; ')
  return text.length > ISSUES_TEXT_MAX ? `${text.slice(0, ISSUES_TEXT_MAX - 1)}…` : text
}

function pathText(path: NonNullable<SchemaIssue['path']>): string {
  return path.map(part => String(typeof part === 'object' ? part.key : part)).join('.')
}
