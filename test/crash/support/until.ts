const DEADLINE_MS = 60_000

/** What `condition` gives, once it gives something. @throws (rejects) after a minute */
export async function until<T>(
  condition: () => T | Promise<T>,
  what: string,
  deadlineMs: number = DEADLINE_MS,
): Promise<NonNullable<T>> {
  for (const end = performance.now() + deadlineMs; ; ) {
    const result = await condition()
    if (result) return result as NonNullable<T>
    if (performance.now() > end) throw new Error(`waited ${deadlineMs / 1_000} s in vain for ${what}`)
    await new Promise(resolve => setTimeout(resolve, 10))
  }
}
