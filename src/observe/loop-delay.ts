import { monitorEventLoopDelay } from 'node:perf_hooks'

const RESOLUTION_MS = 20
/** Asked more often than this it tells the same: two who ask must not take each other's figures away. */
const WINDOW_MS = 10_000

/** How late timers are: what everything that the process does at once waits for. */
export class LoopDelay {
  readonly #histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  #began = performance.now()

  constructor() {
    this.#histogram.enable()
  }

  /** In ms by quantile, over the last 10 s or since it was asked before. */
  read(): ReadonlyMap<string, number> {
    const at = (percentile: number) => Math.max(0, this.#histogram.percentile(percentile) / 1e6 - RESOLUTION_MS)
    const read = new Map([
      ['0.5', at(50)],
      ['0.99', at(99)],
      ['1', at(100)],
    ])
    if (performance.now() - this.#began > WINDOW_MS) {
      this.#histogram.reset()
      this.#began = performance.now()
    }
    return read
  }

  stop(): void {
    this.#histogram.disable()
  }
}
