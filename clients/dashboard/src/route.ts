import { useEffect, useState } from 'preact/hooks'

/** What the address asks for, behind its `#`: each place can be shared, and holds no secret. */
export interface Place {
  readonly parts: readonly string[]
  readonly query: Readonly<Record<string, string>>
}

export function place(
  parts: readonly string[],
  query: Readonly<Record<string, string | number | undefined>> = {},
): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query))
    if (value !== undefined && value !== '' && value !== 0) search.set(name, `${value}`)
  const text = search.toString()
  return `#/${parts.map(encodeURIComponent).join('/')}${text === '' ? '' : `?${text}`}`
}

export function readPlace(hash: string): Place {
  const [path = '', search = ''] = hash.replace(/^#\/?/, '').split('?', 2)
  return {
    parts: path === '' ? [] : path.split('/').map(decoded),
    query: Object.fromEntries(new URLSearchParams(search)),
  }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

export function usePlace(): Place {
  const [hash, setHash] = useState(location.hash)
  useEffect(() => {
    const changed = (): void => setHash(location.hash)
    addEventListener('hashchange', changed)
    return () => removeEventListener('hashchange', changed)
  }, [])
  return readPlace(hash)
}

/** The same place with another choice: replaces it, so that "back" leaves the list. */
export function choose(at: Place, change: Readonly<Record<string, string | number | undefined>>): void {
  history.replaceState(null, '', place(at.parts, { ...at.query, ...change }))
  dispatchEvent(new HashChangeEvent('hashchange'))
}
