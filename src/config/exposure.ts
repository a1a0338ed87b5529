import { type Address, ConfigError } from './config.ts'

/**
 * Refuses to be reached from other machines by just anybody.
 *
 * @param isAsking whether who connects must say who he is, with a token or a client certificate
 * @returns true when anybody may reach it, because the configuration insists
 * @throws ConfigError
 */
export function checkExposure(
  { listen, allowUnauthenticatedNetwork }: { readonly listen: Address; readonly allowUnauthenticatedNetwork: boolean },
  isAsking: boolean,
): boolean {
  if (isAsking || isLoopback(listen.host)) return false
  if (allowUnauthenticatedNetwork) return true
  throw new ConfigError([
    `listen: ${listen.host} can be reached from other machines, and auth = "none" would let anybody in: say auth = "tokens", or listen on 127.0.0.1 (allow_unauthenticated_network = true overrides this)`,
  ])
}

/** Names but `localhost` are not looked up: what they stand for may change. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^(?:::ffff:)?127(?:\.\d{1,3}){3}$/i.test(host)
}
