import { formatDuration, formatSize } from '../engine/units.ts'
import type { Address, WebhookConfig } from './config.ts'
import type { LoadedConfig } from './load.ts'
import { SETTINGS, type Setting } from './settings.ts'

export interface ShownSetting {
  readonly key: string
  /** As the file would hold it; null: not set. */
  readonly value: string | number | boolean | readonly string[] | null
  /** `--data`, `SLUICE_DATA`, `sluice.toml:3:1` or `default`. */
  readonly origin: string
}

const SIZES: readonly string[] = ['messageMax', 'memoryMax', 'diskFreeMin', 'sendBuffersMax']

/** All settings in the order of the documentation, with where each comes from. */
export function shownSettings({ config, origins }: LoadedConfig): readonly ShownSetting[] {
  return (Object.entries(SETTINGS) as [keyof typeof SETTINGS, Setting<unknown>][]).map(([name, { key }]) => ({
    key,
    value: shown(name, config[name]),
    origin: origins[key] ?? 'default',
  }))
}

/** A file that says the same, but for secrets; each line tells where its value came from. */
export function shownAsToml(loaded: LoadedConfig): string {
  const lines = shownSettings(loaded).map(({ key, value, origin }) => ({
    text: value === null ? `# ${key} is not set` : `${key} = ${toml(value)}`,
    origin: value === null ? '' : `# ${origin}`,
  }))
  const width = Math.max(...lines.filter(({ origin }) => origin !== '').map(({ text }) => text.length))
  const settings = lines.map(({ text, origin }) => `${text.padEnd(width)}  ${origin}`.trimEnd())
  const queues = loaded.config.queues.map(({ name, options, place, places }) => {
    const own = Object.entries(options).map(([option, value]) => `${option} = ${toml(value)}  # ${places[option]}`)
    return ['', '[[queue]]', `name = ${toml(name)}  # ${place}`, ...own].join('\n')
  })
  const webhooks = (loaded.config.webhooks ?? []).map(webhookAsToml)
  return `${[...settings, ...queues, ...webhooks].join('\n')}\n`
}

/** Not the path of the URL either: with many receivers it is the secret. */
function webhookAsToml({ queue, url, secretFile, concurrency, timeoutMs, place }: WebhookConfig): string {
  const path = url.pathname === '/' && url.search === '' ? '' : '/…'
  return [
    '',
    '[[webhook]]',
    `queue = ${toml(queue)}  # ${place}`,
    `url = ${toml(`${url.origin}${path}`)}`,
    secretFile === undefined ? 'secret = "…"' : `secret_file = ${toml(secretFile)}`,
    `concurrency = ${concurrency}`,
    `timeout = ${toml(formatDuration(timeoutMs))}`,
  ].join('\n')
}

function shown(name: string, value: unknown): ShownSetting['value'] {
  if (value === undefined) return null
  if (name === 'listen') return addressText(value as Address)
  if (name.endsWith('Ms')) return formatDuration(value as number)
  if (SIZES.includes(name)) return formatSize(value as number)
  return value as ShownSetting['value']
}

function addressText({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function toml(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(toml).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  return `{ ${Object.entries(value)
    .map(([key, inner]) => `${key} = ${toml(inner)}`)
    .join(', ')} }`
}
