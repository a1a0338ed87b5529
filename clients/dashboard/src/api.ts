/** Kept as long as the tab: it is in no address, no cookie, and gone when the tab is closed. */
const TOKEN_KEY = 'sluice-token'

export function token(): string | undefined {
  return sessionStorage.getItem(TOKEN_KEY) ?? undefined
}

export function keepToken(secret: string | undefined): void {
  if (secret === undefined) sessionStorage.removeItem(TOKEN_KEY)
  else sessionStorage.setItem(TOKEN_KEY, secret)
}

/** What the server says no to, in its own words. */
export class Refused extends Error {
  readonly code: string
  readonly status: number
  /** Where in an expression the mistake is, from 1. */
  readonly column: number | undefined

  constructor(status: number, problem: { readonly code?: string; readonly detail?: string; readonly column?: number }) {
    super(problem.detail ?? `the server answered ${status}`)
    this.name = 'Refused'
    this.status = status
    this.code = problem.code ?? 'unknown'
    this.column = problem.column
  }
}

/** A path of the server: each name as one segment, whatever is in it. */
export function path(
  parts: readonly (string | number)[],
  query: Readonly<Record<string, string | number | undefined>> = {},
): string {
  const pairs = Object.entries(query)
    .filter(([, value]) => value !== undefined && value !== '')
    .map(([name, value]) => `${name}=${encodeURIComponent(`${value}`)}`)
  return `/v1/${parts.map(part => encodeURIComponent(`${part}`)).join('/')}${pairs.length > 0 ? `?${pairs.join('&')}` : ''}`
}

/** @throws Refused; TypeError when the server is not reached */
export async function open(target: string, init: RequestInit = {}): Promise<Response> {
  const secret = token()
  const headers = new Headers(init.headers)
  if (secret !== undefined) headers.set('authorization', `Bearer ${secret}`)
  const response = await fetch(target, { ...init, headers, credentials: 'omit', cache: 'no-store', redirect: 'error' })
  if (response.ok) return response
  throw new Refused(response.status, await problemOf(response))
}

/** @throws Refused; TypeError when the server is not reached */
export async function ask<T>(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', target: string, json?: unknown): Promise<T> {
  const body = json === undefined ? {} : { body: JSON.stringify(json), headers: { 'content-type': 'application/json' } }
  const response = await open(target, { method, ...body })
  return (response.status === 204 ? undefined : await response.json()) as T
}

async function problemOf(response: Response): Promise<object> {
  try {
    return (await response.json()) as object
  } catch {
    return {}
  }
}
