/**
 * A short list that still fails: leaves out commands, in halves, quarters and one by one, then parts of those that are
 * left, as long as it fails with the same rule. Any list of commands makes sense, so this is quicker than to try values.
 *
 * @param ruleOf the rule that a list breaks; undefined: none
 */
export function shorten<T>(list: readonly T[], ruleOf: (list: readonly T[]) => string | undefined): readonly T[] {
  const rule = ruleOf(list)
  const fails = (shorter: readonly T[]) => ruleOf(shorter) === rule
  let short = without(list, fails)
  for (let k = 0; k < short.length; k += 1) {
    const at = (command: T) => [...short.slice(0, k), command, ...short.slice(k + 1)]
    const thin = (value: unknown, put: (value: unknown) => T): void => {
      if (Array.isArray(value)) {
        const fewer = value.length > 1 ? without(value, some => some.length > 0 && fails(at(put(some)))) : value
        short = at(put(fewer))
        fewer.forEach((item, n) => {
          thin(item, other => put([...fewer.slice(0, n), other, ...fewer.slice(n + 1)]))
        })
      } else if (typeof value === 'object' && value !== null) {
        let kept: Record<string, unknown> = { ...value }
        for (const key of Object.keys(kept)) {
          const { [key]: field, ...rest } = kept
          if (field === undefined || key === 'options') continue
          if (fails(at(put({ ...kept, [key]: undefined })))) kept = rest
          else thin(field, other => put({ ...kept, [key]: other }))
        }
        short = at(put(kept))
      }
    }
    thin(short[k], command => command as T)
  }
  return without(short, fails)
}

/** The list without whatever it fails without. */
function without<T>(list: readonly T[], fails: (list: readonly T[]) => boolean): T[] {
  let short = [...list]
  for (let size = Math.ceil(short.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < short.length; ) {
      const fewer = [...short.slice(0, at), ...short.slice(at + size)]
      if (fails(fewer)) short = fewer
      else at += size
    }
  }
  return short
}
