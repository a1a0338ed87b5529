import { Webhook, type WebhookCounts, type WebhookParts, type WebhookTerms } from './webhook.ts'

/** All webhooks of a server. */
export class Webhooks {
  readonly #webhooks: readonly Webhook[]

  constructor(webhooks: readonly WebhookTerms[], parts: WebhookParts) {
    this.#webhooks = webhooks.map(terms => new Webhook(terms, parts))
  }

  start(): void {
    for (const webhook of this.#webhooks) webhook.open()
  }

  /** Before the engine ends: what is under way is called off and given back. */
  close(): void {
    for (const webhook of this.#webhooks) webhook.close()
  }

  /** By queue. */
  get counts(): ReadonlyMap<string, WebhookCounts> {
    return new Map(this.#webhooks.map(webhook => [webhook.queue, webhook.counts]))
  }
}
