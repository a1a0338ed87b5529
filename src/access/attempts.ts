/** Failures within the window after which an address is blocked; of this machine itself many programs come. */
const FAILURES_MAX = 10
const FAILURES_MAX_LOOPBACK = 100
const WINDOW_MS = 60_000
const BLOCK_MS = 60_000
/** Addresses that are remembered; beyond it those that failed longest ago are forgotten. */
const ADDRESSES_MAX = 10_000

/** Failed logins by address, within bounds. */
export interface Attempts {
  /** How long an address is still blocked, in ms; 0: not. */
  blockedFor(address: string, now: number): number
  /** Counts a failure. @returns for how long the address is blocked by it, in ms; 0: not yet */
  failed(address: string, now: number): number
}

interface Failures {
  count: number
  since: number
  blockedUntil: number
}

export function attempts(): Attempts {
  const failures = new Map<string, Failures>()
  return {
    blockedFor: (address, now) => Math.max(0, (failures.get(networkOf(address))?.blockedUntil ?? 0) - now),
    failed(address, now) {
      const network = networkOf(address)
      let known = failures.get(network)
      if (known === undefined || now - known.since >= WINDOW_MS) known = { count: 0, since: now, blockedUntil: 0 }
      known.count += 1
      // To the end of the line, so that the first is always the one to forget.
      failures.delete(network)
      failures.set(network, known)
      for (const oldest of failures.keys()) {
        if (failures.size <= ADDRESSES_MAX) break
        failures.delete(oldest)
      }
      if (known.count < (isLoopback(network) ? FAILURES_MAX_LOOPBACK : FAILURES_MAX)) return 0
      known.blockedUntil = now + BLOCK_MS
      known.count = 0
      known.since = known.blockedUntil
      return BLOCK_MS
    },
  }
}

/** An IPv6 customer has a network of 2⁶⁴ addresses, so these count as one; an IPv4 address in IPv6 is itself. */
function networkOf(address: string): string {
  const [, ipv4] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? []
  if (ipv4 !== undefined) return ipv4
  if (!address.includes(':') || address === '::1') return address
  const [head = '', tail] = address.split('::')
  const groups = head === '' ? [] : head.split(':')
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === '' ? 0 : tail.split(':').length)
  return [...groups, ...Array.from({ length: Math.max(0, missing) }, () => '0')].slice(0, 4).join(':')
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.')
}
