import { FUNCTIONS } from './functions.ts'
import type { Expression } from './tree.ts'

/**
 * Which keys a body must have before an expression can be TRUE, or have a value. A body without one of them is ruled
 * out without being parsed, so a key may be missing here but never be too many.
 *
 * It rests on two rules of the language: a comparison with NULL is never TRUE, and the field of a body that lacks
 * any key of its path is NULL.
 */
type Keys = ReadonlySet<string>

const NONE: Keys = new Set()

/** The keys without which the expression is not TRUE. */
export function neededForTrue(expression: Expression): Keys {
  switch (expression.kind) {
    case 'and':
      return union(neededForTrue(expression.left), neededForTrue(expression.right))
    case 'or':
      // NULL on the left makes all of it NULL, whatever is on the right.
      return union(
        neededForValue(expression.left),
        intersection([neededForTrue(expression.left), neededForTrue(expression.right)]),
      )
    case 'compare':
      return union(neededForValue(expression.left), neededForValue(expression.right))
    case 'between':
      return [expression.low, expression.high].map(neededForValue).reduce(union, neededForValue(expression.operand))
    case 'in':
    case 'begins-with':
    case 'ends-with':
      return union(neededForValue(expression.operand), intersection(expression.members.map(neededForValue)))
    case 'like':
    case 'is-nan':
      return neededForValue(expression.operand)
    case 'not':
      return neededForFalse(expression.operand)
    default:
      return neededForValue(expression)
  }
}

/** The keys without which the expression is not FALSE, so that NOT before it is not TRUE. */
function neededForFalse(expression: Expression): Keys {
  return expression.kind === 'is-null' ? neededForValue(expression.operand) : neededForValue(expression)
}

/** The keys without which the expression is NULL. */
export function neededForValue(expression: Expression): Keys {
  switch (expression.kind) {
    case 'field':
      return new Set(expression.path)
    case 'arithmetic':
      return union(neededForValue(expression.left), neededForValue(expression.right))
    case 'negate':
    case 'not':
      return neededForValue(expression.operand)
    case 'and':
    case 'or':
      return neededForValue(expression.left)
    case 'call': {
      const values = expression.arguments.map(neededForValue)
      const { needs } = FUNCTIONS.get(expression.name)!
      return needs === 'one-of-all' ? intersection(values) : values.slice(0, needs).reduce(union, NONE)
    }
    default:
      return NONE
  }
}

function union(left: Keys, right: Keys): Keys {
  return new Set([...left, ...right])
}

function intersection(sets: readonly Keys[]): Keys {
  const [one, ...others] = sets
  return new Set([...(one ?? NONE)].filter(key => others.every(other => other.has(key))))
}
