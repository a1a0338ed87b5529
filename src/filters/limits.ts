/**
 * What a filter may cost. Filters and bodies both come from clients, so each of these is a promise that one
 * client cannot stop the others; each is reached in a test.
 */

/** Longest expression, in bytes of UTF-8. */
export const EXPRESSION_BYTES_MAX = 4096

/** Deepest nesting of parentheses, calls, lists, `NOT` and unary minus. */
export const DEPTH_MAX = 32

/** Most operators, operands and calls of one expression. Literals in a list count for `LIST_MAX` instead. */
export const NODES_MAX = 256

/** Most members of the list behind `IN`, `BEGINS WITH` or `ENDS WITH`. */
export const LIST_MAX = 1000

/** Longest pattern of `LIKE` or `REGEXP_…`, in bytes of UTF-8. */
export const PATTERN_BYTES_MAX = 256

/**
 * Most instructions of a compiled pattern: `.{0,999}` has 2,000 of them. What the engine keeps for a pattern,
 * and its cost for each byte of text, grow with this number.
 */
export const PATTERN_INSTRUCTIONS_MAX = 1000

/**
 * Longest text that a pattern runs over or that a text function takes or builds, in bytes. On a longer one the
 * evaluation is given up: the message does not match, whatever the rest of the expression says, so that neither
 * `LIKE` nor `NOT LIKE` lets through what was not looked at.
 */
export const TEXT_BYTES_MAX = 65_536

/**
 * Most steps of one evaluation; with the next one it is given up and the message does not match. A step is a byte
 * of text for each instruction of a pattern that runs over it, a byte that a text function reads, or a comparison
 * between members of arrays. Four million of the dearest kind took 50 ms, and a pattern of 60 instructions may
 * run once over the longest text.
 */
export const STEPS_MAX = 4_000_000

/** Deepest nesting of arrays and objects in a body; a deeper one counts as not valid JSON. */
export const BODY_DEPTH_MAX = 64
