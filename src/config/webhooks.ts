import { readFileSync } from 'node:fs'
import type { Refusal } from '../engine/peer.ts'
import { ConfigError, type WebhookConfig } from './config.ts'
import { type Setting, signingSecret, WEBHOOK_SETTINGS } from './settings.ts'

/** Keys in one file: the new one and the old one while receivers change over, with room for a mistake. */
const SECRETS_MAX = 4

/**
 * Reads a `[[webhook]]` table and the file of its secret. No error repeats a value: a URL can be a secret as well.
 *
 * @param place where the table or one of its keys stands
 * @param problems gets what is wrong
 * @returns undefined when something is wrong
 */
export function readWebhook(
  table: Readonly<Record<string, unknown>>,
  place: (key?: string) => string,
  problems: string[],
): WebhookConfig | undefined {
  const before = problems.length
  const read = <T>({ key, parse, fallback }: Setting<T>): T | undefined => {
    if (!Object.hasOwn(table, key)) return fallback
    const value = parse(table[key])
    if (!isMisread(value)) return value as T
    problems.push(`${place(key)}: ${key}: ${value.problem}`)
    return undefined
  }
  const [queue, url] = [read(WEBHOOK_SETTINGS.queue), read(WEBHOOK_SETTINGS.url)]
  const [secret, secretFile] = [read(WEBHOOK_SETTINGS.secret), read(WEBHOOK_SETTINGS.secretFile)]
  const [concurrency, timeoutMs] = [read(WEBHOOK_SETTINGS.concurrency), read(WEBHOOK_SETTINGS.timeoutMs)]
  for (const key of ['queue', 'url'])
    if (!Object.hasOwn(table, key)) problems.push(`${place()}: a webhook needs ${key === 'url' ? 'a url' : 'a queue'}`)
  const given = ['secret', 'secret_file'].filter(key => Object.hasOwn(table, key))
  if (given.length !== 1)
    problems.push(`${place(given[1])}: a webhook needs a secret or a secret_file, and one of them`)
  const secrets =
    secret !== undefined
      ? [secret]
      : secretFile === undefined
        ? []
        : secretsIn(secretFile, place('secret_file'), problems)
  if (problems.length > before) return undefined
  return {
    queue,
    url,
    secrets,
    ...(secretFile === undefined ? {} : { secretFile }),
    concurrency,
    timeoutMs,
    place: place(),
  } as WebhookConfig
}

/** One a line, the newest first. */
function secretsIn(file: string, place: string, problems: string[]): readonly Uint8Array[] {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    problems.push(`${place}: secret_file: cannot read ${file}: ${(error as NodeJS.ErrnoException).code ?? 'failed'}`)
    return []
  }
  const lines = text
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '')
  const secrets = lines.map(signingSecret)
  const wrong = secrets.findIndex(isMisread)
  if (lines.length === 0 || lines.length > SECRETS_MAX)
    problems.push(`${place}: secret_file: ${file} must have 1 to ${SECRETS_MAX} secrets, one a line`)
  else if (wrong >= 0) problems.push(`${place}: secret_file: line ${wrong + 1} of ${file} ${problemOf(secrets[wrong])}`)
  return secrets.filter((secret): secret is Uint8Array => !isMisread(secret))
}

/** Has the queues of webhooks there before anybody names them. @throws ConfigError at the table whose queue cannot be */
export function provideQueues(
  engine: { provide(name: string): Refusal | undefined },
  webhooks: readonly WebhookConfig[] = [],
): void {
  for (const { queue, place } of webhooks) {
    const refusal = engine.provide(queue)
    if (refusal !== undefined) throw new ConfigError([`${place}: webhook: ${refusal.detail}`])
  }
}

function problemOf(secret: unknown): string {
  return isMisread(secret) ? secret.problem : ''
}

function isMisread(value: unknown): value is { problem: string } {
  return typeof value === 'object' && value !== null && 'problem' in value
}
