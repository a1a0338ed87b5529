import type { ServerConfig } from './config.ts'

/** Settings that are right by themselves and cannot go together: the key to blame, and why. */
export function contradictions(
  config: Partial<ServerConfig>,
): readonly { readonly key: string; readonly why: string }[] {
  const { tlsCert, tlsKey, tlsClientCa, tlsClientCrl, messageMax, sendBuffersMax } = config
  const found: { key: string; why: string }[] = []
  if (tlsCert !== undefined && tlsKey === undefined) found.push({ key: 'tls_cert', why: 'tls_key is missing' })
  if (tlsKey !== undefined && tlsCert === undefined) found.push({ key: 'tls_key', why: 'tls_cert is missing' })
  if (tlsClientCa !== undefined && tlsCert === undefined && tlsKey === undefined)
    found.push({ key: 'tls_client_ca', why: 'without tls_cert and tls_key nobody is asked for a certificate' })
  if (tlsClientCrl !== undefined && tlsClientCa === undefined)
    found.push({ key: 'tls_client_crl', why: 'without tls_client_ca nobody is asked for a certificate' })
  if (messageMax !== undefined && sendBuffersMax !== undefined && sendBuffersMax < 2 * messageMax)
    found.push({ key: 'send_buffers_max', why: 'must be at least twice message_max' })
  return found
}
