export { type Allocate, ByteReader, ByteWriter, utf8Length } from './bytes.ts'
export { decodeFrames, encodeFrame } from './codec.ts'
export {
  type CarriedMessages,
  type PublishPart,
  type Range,
  SETTLE_HOW,
  SETTLE_RESULTS,
  type SettledRange,
  type SettleHow,
  type SettleResult,
} from './fields.ts'
export {
  type ClientFrameName,
  type End,
  FRAMES,
  type FrameFrom,
  type FrameInputs,
  type FrameLayout,
  type FrameName,
  type Frames,
  PUBLISH_FLAGS,
  type ServerFrameName,
} from './frames.ts'
export * from './limits.ts'
export { countMessages, decodeMessage, encodeMessage, MessageCursor } from './message.ts'
export { toCamelCase, toSnakeCase } from './names.ts'
export {
  type BarrierProperties,
  type BarrierRest,
  decodeMessageProperties,
  type HeaderValue,
  type MessageProperties,
} from './properties.ts'
export { ProtocolError } from './protocol-error.ts'
export { REFUSALS, type RefusalCode, type RefusalKind, refusalKind } from './refusals.ts'
export { isMap, type Scalar, type Value, type ValueMap } from './values.ts'
export * from './version.ts'
