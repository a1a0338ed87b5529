import type { QueueOptions, RetryDelay } from './options.ts'

/** Wait before the attempt after this many failed ones, in ms. `chance` in [0, 1) spreads it when the queue wants jitter. */
export function retryDelayMs(delay: RetryDelay, attempts: number, chance: number): number {
  const raw = Math.min(delay.maxMs, delay.baseMs * delay.factor ** Math.max(0, attempts - 1))
  // Half of it is kept: a delay of nearly nothing would be no delay.
  return Math.round(delay.jitter ? raw / 2 + (raw / 2) * chance : raw)
}

/** True when no attempt is left. */
export function isSpent(options: QueueOptions, attempts: number): boolean {
  return options.deliveriesMax !== undefined && attempts >= options.deliveriesMax
}
