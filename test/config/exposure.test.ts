import { expect, test } from 'vitest'
import { checkExposure, isLoopback } from '../../src/config/exposure.ts'
import { loadConfig } from '../../src/config/load.ts'

test('addresses of this machine alone are told from all others', () => {
  for (const host of ['127.0.0.1', '127.8.9.10', '::1', 'localhost', '::ffff:127.0.0.1'])
    expect(isLoopback(host), host).toBe(true)
  for (const host of ['0.0.0.0', '::', '10.0.0.1', '127.0.0.1.example', 'localhost.example', '::ffff:10.0.0.1', '::2'])
    expect(isLoopback(host), host).toBe(false)
})

test('attack 1: only who asks, or insists, may be reached from other machines', () => {
  const at = (host: string, allowUnauthenticatedNetwork: boolean) => ({
    listen: { host, port: 7420 },
    allowUnauthenticatedNetwork,
  })
  expect(checkExposure(at('127.0.0.1', false), false)).toBe(false)
  expect(checkExposure(at('0.0.0.0', false), true)).toBe(false)
  expect(checkExposure(at('0.0.0.0', true), true)).toBe(false)
  expect(checkExposure(at('0.0.0.0', true), false)).toBe(true)
  expect(() => checkExposure(at('0.0.0.0', false), false)).toThrow(/auth = "tokens", or listen on 127\.0\.0\.1/)
})

test('auth is none or tokens, from file, environment or flag; default none', () => {
  const auth = (environment: Record<string, string>) => loadConfig({ environment }).config.auth
  expect(auth({})).toBe('none')
  expect(auth({ SLUICE_AUTH: 'tokens' })).toBe('tokens')
  expect(() => auth({ SLUICE_AUTH: 'token' })).toThrow(/SLUICE_AUTH: .*"none" or "tokens"/)
  const insists = { SLUICE_ALLOW_UNAUTHENTICATED_NETWORK: 'true' }
  expect(loadConfig({ environment: insists }).config.allowUnauthenticatedNetwork).toBe(true)
})
