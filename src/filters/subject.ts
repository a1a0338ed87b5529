import { bytesOfText, sliceBytes } from './bytes.ts'
import { boolean, fromNumber, NULL, type Scalar } from './values.ts'

/**
 * What an expression may read of a message. It is read during the call only and nothing of it is kept, so one
 * object may be filled anew for each message.
 */
export interface FilterSubject {
  /** A buffer that holds the body in `[start, end)`. */
  readonly bytes: Uint8Array
  readonly start: number
  readonly end: number
  /**
   * The property that expressions write as `[/$NAME]`, by its NAME without the `$`; undefined when absent. Besides
   * those of `PROPERTIES` it is asked for `bookmark`, `last_updated` and `sow_key`, behind the functions of these names.
   */
  property(name: string): string | number | boolean | undefined
  /** The header that expressions write as `[/$header/NAME]`; undefined when absent. */
  header(name: string): string | number | boolean | Uint8Array | undefined
  /** The queue the message was published to: `TOPIC_NAME()`. */
  readonly queue: string
}

/** The properties an expression can name. Others are refused, since a misspelt one would silently match nothing. */
export const PROPERTIES: readonly string[] = [
  'priority',
  'content_type',
  'message_id',
  'correlation_id',
  'reply_to',
  'group',
  'outcome',
]

/** A property or header as a value of the language. */
export function fromProperty(value: string | number | boolean | Uint8Array | undefined): Scalar {
  switch (typeof value) {
    case 'undefined':
      return NULL
    case 'number':
      return fromNumber(value)
    case 'boolean':
      return boolean(value)
    case 'string':
      return bytesOfText(value) || NULL
    default:
      return sliceBytes(value, 0, value.length) || NULL
  }
}
