import { readFileSync } from 'node:fs'
import { parse, TomlError } from 'smol-toml'
import { ConfigError, type QueueConfig, type ServerConfig, type WebhookConfig } from './config.ts'
import { contradictions } from './contradictions.ts'
import { nearest } from './nearest.ts'
import { findPlaces, type Place } from './places.ts'
import { QUEUE_OPTIONS, SETTINGS, type Setting, WEBHOOK_SETTINGS } from './settings.ts'
import { readWebhook } from './webhooks.ts'

export interface ConfigSources {
  /** File to read; absent: none. */
  readonly file?: string
  /** By key of the file, from the command line; the origin is shown as `--key`. */
  readonly flags?: Readonly<Record<string, string | boolean | undefined>>
  readonly environment?: Readonly<Record<string, string | undefined>>
}

export interface LoadedConfig {
  readonly config: ServerConfig
  /** Where each setting comes from, by its key: `--data`, `SLUICE_DATA`, `sluice.toml:3:1` or `default`. */
  readonly origins: Readonly<Record<string, string>>
}

/** A value as given, where, and how errors begin that are about it. */
interface Given {
  readonly value: unknown
  readonly origin: string
  readonly label: string
}

/**
 * Puts the configuration together: a flag beats a `SLUICE_*` variable beats the file beats the default.
 *
 * Variables that are not ours are left alone, also unknown `SLUICE_*` ones: the SDK has some, and Kubernetes makes
 * `SLUICE_PORT` and others for a service of our name.
 *
 * @throws ConfigError with everything that is wrong, as far as it can be read
 */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const file = sources.file === undefined ? undefined : readConfigFile(sources.file)
  const problems = file?.unknownKeys() ?? []
  const settings: Record<string, unknown> = {}
  const origins: Record<string, string> = {}
  for (const [name, setting] of Object.entries(SETTINGS) as [string, Setting<unknown>][]) {
    const given = find(setting, sources, file)
    const value = given === undefined ? setting.fallback : setting.parse(given.value)
    origins[setting.key] = given?.origin ?? 'default'
    if (isMisread(value)) problems.push(`${given?.label}: ${value.problem}`)
    else if (value !== undefined) settings[name] = value
  }
  // What could not be read is missing, and would be blamed for it.
  const contrary = problems.length > 0 ? [] : contradictions(settings as Partial<ServerConfig>)
  for (const { key, why } of contrary) {
    const origin = origins[key] ?? key
    problems.push(origin === file?.origin(key) ? `${origin}: ${key}: ${why}` : `${origin}: ${why}`)
  }
  const queues = file?.queues(problems) ?? []
  const webhooks = file?.webhooks(problems) ?? []
  if (problems.length > 0) throw new ConfigError(problems)
  return {
    config: { ...settings, queues, ...(webhooks.length > 0 && { webhooks }) } as unknown as ServerConfig,
    origins,
  }
}

function find(setting: Setting<unknown>, sources: ConfigSources, file: ConfigFile | undefined): Given | undefined {
  const { key, fromText = (text: string) => text } = setting
  const flag = sources.flags?.[key]
  if (flag !== undefined) return givenBy(typeof flag === 'string' ? fromText(flag) : flag, `--${key}`)
  const variable = `SLUICE_${key.toUpperCase()}`
  const text = sources.environment?.[variable]
  // An empty variable is how many tools say "not set".
  if (text !== undefined && text !== '') return givenBy(fromText(text), variable)
  return file?.setting(key)
}

function givenBy(value: unknown, origin: string): Given {
  return { value, origin, label: origin }
}

function isMisread(value: unknown): value is { problem: string } {
  return typeof value === 'object' && value !== null && 'problem' in value
}

function readConfigFile(path: string): ConfigFile {
  try {
    // A byte order mark would move the columns of the first line.
    const text = readFileSync(path, 'utf8').replace(/^\uFEFF/, '')
    return new ConfigFile(path, parse(text, { maxDepth: 16, unsafeKeyBehaviour: 'throw' }), findPlaces(text))
  } catch (cause) {
    if (!(cause instanceof TomlError))
      throw new ConfigError([`cannot read ${path}: ${(cause as Error).message}`], { cause })
    const what = cause.message.split('\n')[0]?.replace('Invalid TOML document: ', '')
    throw new ConfigError([`${path}:${cause.line}:${cause.column}: ${what}`], { cause })
  }
}

/** A file that is TOML, with what its schema says of it. */
class ConfigFile {
  readonly #path: string
  readonly #root: Readonly<Record<string, unknown>>
  readonly #places: ReadonlyMap<string, Place>

  constructor(path: string, root: Readonly<Record<string, unknown>>, places: ReadonlyMap<string, Place>) {
    this.#path = path
    this.#root = root
    this.#places = places
  }

  /** Where a key stands, as `setting` gives it. */
  origin(key: string): string {
    return this.#place(key)
  }

  setting(key: string): Given | undefined {
    if (!Object.hasOwn(this.#root, key)) return undefined
    const origin = this.#place(key)
    return { value: this.#root[key], origin, label: `${origin}: ${key}` }
  }

  unknownKeys(): string[] {
    const known = [...Object.values(SETTINGS).map(setting => setting.key), 'queue', 'webhook']
    return Object.keys(this.#root)
      .filter(key => !known.includes(key))
      .map(key => `${this.#place(key)}: unknown setting ${unknown(key, known)}`)
  }

  /** Adds what is wrong with the queue tables to `problems`. */
  queues(problems: string[]): readonly QueueConfig[] {
    const tables = this.#root['queue'] ?? []
    if (!Array.isArray(tables) || !tables.every(isTable)) {
      problems.push(`${this.#place('queue')}: a queue is declared by a table of its own, headed [[queue]]`)
      return []
    }
    const first = new Map<string, string>()
    return tables.map((table, index) => {
      const queue = this.#queue(table, `queue.${index}`, problems)
      const earlier = first.get(queue.name)
      if (earlier !== undefined)
        problems.push(`${queue.place}: queue "${queue.name}" is declared at ${earlier} already`)
      else if (queue.name !== '') first.set(queue.name, queue.place)
      return queue
    })
  }

  #queue(table: Readonly<Record<string, unknown>>, path: string, problems: string[]): QueueConfig {
    const { name, ...options } = table
    const place = this.#place(path, 'queue')
    const places: Record<string, string> = {}
    for (const option of Object.keys(options)) {
      places[option] = this.#place(`${path}.${option}`, path, 'queue')
      if (QUEUE_OPTIONS.includes(option)) continue
      problems.push(`${places[option]}: unknown option ${unknown(option, [...QUEUE_OPTIONS, 'name'])}`)
    }
    if (typeof name === 'string' && name !== '') return { name, options, place, places }
    problems.push(
      name === undefined
        ? `${place}: a queue needs a name`
        : `${this.#place(`${path}.name`, path)}: name: must be a text`,
    )
    return { name: '', options, place, places }
  }

  /** Adds what is wrong with the webhook tables to `problems`. */
  webhooks(problems: string[]): readonly WebhookConfig[] {
    const tables = this.#root['webhook'] ?? []
    if (!Array.isArray(tables) || !tables.every(isTable)) {
      problems.push(`${this.#place('webhook')}: a webhook is a table of its own, headed [[webhook]]`)
      return []
    }
    const known = Object.values(WEBHOOK_SETTINGS).map(({ key }) => key)
    const first = new Map<string, string>()
    return tables.flatMap((table, index) => {
      const path = `webhook.${index}`
      const place = (key?: string) =>
        key === undefined ? this.#place(path, 'webhook') : this.#place(`${path}.${key}`, path, 'webhook')
      for (const key of Object.keys(table).filter(key => !known.includes(key)))
        problems.push(`${place(key)}: unknown setting ${unknown(key, known)}`)
      const webhook = readWebhook(table, place, problems)
      if (webhook === undefined) return []
      // Two would share the messages between them, and nobody means that who writes it down.
      const earlier = first.get(webhook.queue)
      if (earlier !== undefined)
        problems.push(`${webhook.place}: queue "${webhook.queue}" has its webhook at ${earlier} already`)
      first.set(webhook.queue, webhook.place)
      return [webhook]
    })
  }

  /** Of the first path that has one: what is inside of an inline table stands where that table does. */
  #place(...paths: readonly string[]): string {
    const place = paths.map(path => this.#places.get(path)).find(found => found !== undefined)
    return place === undefined ? this.#path : `${this.#path}:${place.line}:${place.column}`
  }
}

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === null
}

/** `"leese" (did you mean "lease"?)` */
function unknown(name: string, known: readonly string[]): string {
  const meant = nearest(name, known)
  return meant === undefined ? JSON.stringify(name) : `${JSON.stringify(name)} (did you mean "${meant}"?)`
}
