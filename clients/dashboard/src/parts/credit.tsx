import { count } from '../format.ts'

/** How much of its credit somebody uses. */
export function Credit({ used, of }: { readonly used: number; readonly of: number }) {
  return (
    <span class="credit">
      <span class="meter" aria-hidden="true">
        <span style={{ width: `${of === 0 ? 0 : Math.min(100, (used / of) * 100)}%` }} />
      </span>
      {count(used)} of {count(of)}
    </span>
  )
}
