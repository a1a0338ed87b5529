import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'

/** Longest name, in bytes of UTF-8. */
const NAME_BYTES_MAX = 255

/**
 * Who a client is by the certificate that its handshake has proved: the common name of the subject, or, if it has none,
 * the first name (DNS, URI or mail) of the subject alternative names.
 *
 * @returns undefined without a certificate, and for names that could be taken for others: more than one common name,
 *   control characters, quotes, more than 255 bytes. Such a client is nobody, not somebody else.
 */
export function clientName(socket: Socket): string | undefined {
  if (!(socket instanceof TLSSocket) || !socket.authorized) return undefined
  const { subject, subjectaltname } = socket.getPeerCertificate()
  // Without a certificate all of it is missing.
  const common = subject?.CN as string | readonly string[] | undefined
  return common === undefined
    ? firstAlternative(subjectaltname)
    : typeof common === 'string'
      ? checked(common)
      : undefined
}

/** `DNS:worker-1, URI:spiffe://…`; Node puts what could be mistaken for more than one into quotes. */
function firstAlternative(names: string | undefined): string | undefined {
  const [, name] = /^(?:DNS|URI|email):([^",]+)(?:, |$)/.exec(names ?? '') ?? []
  return name === undefined ? undefined : checked(name)
}

function checked(name: string): string | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
  const isPlain = !/[\u0000-\u001f\u007f-\u009f"]/.test(name) && name.trim() === name && name !== ''
  return isPlain && Buffer.byteLength(name) <= NAME_BYTES_MAX ? name : undefined
}
