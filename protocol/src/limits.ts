/*
 * Everything has a limit. Those a server may set otherwise are named in the welcome; the rest is the same everywhere.
 */

/** Longest queue name, in bytes of UTF-8. */
export const QUEUE_NAME_BYTES_MAX = 255
/** Longest barrier or party name, in bytes of UTF-8. */
export const BARRIER_NAME_BYTES_MAX = 255
/** Longest client name in a hello, in bytes of UTF-8. */
export const CLIENT_NAME_BYTES_MAX = 255
/** Length of a producer id, in hex digits. */
export const PRODUCER_ID_DIGITS = 32
/** Largest body of a barrier, in bytes (B1). */
export const BARRIER_BODY_BYTES_MAX: number = 64 * 1024
/** Most queues that one barrier is forwarded to. */
export const BARRIER_FORWARDS_MAX = 64
/** Most parties of one barrier. */
export const BARRIER_PARTIES_MAX = 100_000
/** Largest body that a record can say, in bytes; the server's `message_max` is below it. */
export const BODY_BYTES_MAX = 0x1fff_ffff
/** Default of the server option `message_max`, in bytes. */
export const MESSAGE_BYTES_MAX_DEFAULT: number = 16 * 1024 * 1024
/** Largest properties block of a message, in bytes. */
export const PROPERTIES_BYTES_MAX: number = 64 * 1024
/** Longest content type, message id, correlation id, reply-to and group, in bytes of UTF-8. AMQP's short strings end here too. */
export const PROPERTY_TEXT_BYTES_MAX = 255
/** Most headers of a message. */
export const HEADERS_MAX = 128
/** Longest name of a header, in bytes of UTF-8. */
export const HEADER_NAME_BYTES_MAX = 255
/** Most messages in one publish frame, and in all that one ack carries (P4). */
export const FRAME_MESSAGES_MAX = 10_000
/** Most bytes of messages in an atomic publish (P4). */
export const ATOMIC_BYTES_MAX: number = 16 * 1024 * 1024
/** Most ranges in the list of a frame; longer lists are sent as several frames. */
export const LIST_ITEMS_MAX = 65_536
/** Most frames in one WebSocket message of a client: nobody else is served while one is taken. */
export const MESSAGE_FRAMES_MAX = 16_384
/** Largest frame taken before the hello is answered, in bytes after the length. */
export const HELLO_FRAME_BYTES_MAX: number = 4 * 1024
/** What a frame may have beside the messages in it, in bytes; a frame without messages is at most this large. */
export const FRAME_OVERHEAD_BYTES_MAX: number = 1024 * 1024
/** Publish bytes a connection may have unanswered by default: the window that the server grants anew as it answers. */
export const PUBLISH_WINDOW_BYTES_DEFAULT: number = 4 * 1024 * 1024
/** Time from the opened connection to the hello, in ms. */
export const HELLO_DEADLINE_MS = 5_000
/** Silence after which an end asks for a sign of life, in ms; after two of them it cuts the connection (R9). */
export const HEARTBEAT_MS_DEFAULT = 20_000
/** Bounds of what a hello may ask for, in ms. */
export const HEARTBEAT_MS_MIN = 5_000
export const HEARTBEAT_MS_MAX = 120_000
/** Deepest nesting of lists and maps in a general value. */
export const VALUE_DEPTH_MAX = 8
/** Most entries of one list or map in a general value: the parties of a barrier are one list. */
export const VALUE_ENTRIES_MAX = 100_000
/** Most entries of all lists and maps of a general value together: it bounds what a frame can cost in memory. */
export const VALUE_ENTRIES_TOTAL_MAX = 1_048_576
/** Most subscriptions of one connection. */
export const SUBSCRIPTIONS_MAX = 1_000
/** Most requests and settles of one connection that wait for their answer; more are refused `server-busy`. */
export const REQUESTS_PENDING_MAX = 10_000
