import type { Life, Loop } from './loop.ts'
import type { PlannedCrash } from './points.ts'

/** Counts how often each point is passed, and has the server crash where it is planned. */
export class FaultPoints {
  readonly #loop: Loop
  readonly #planned = new Map<string, PlannedCrash[]>()
  readonly #passed = new Map<string, number>()
  readonly #carriedOut: string[] = []
  /** Carries a crash out; set by whoever makes things go wrong. */
  crash: (crash: PlannedCrash) => void = () => {}
  /** There are no more crashes. */
  isOver = false

  constructor(loop: Loop, crashes: readonly PlannedCrash[]) {
    this.#loop = loop
    for (const crash of crashes) {
      const { name } = crash.point
      this.#planned.set(name, [...(this.#planned.get(name) ?? []), crash])
    }
  }

  /** Points at which the server has crashed, in that order. */
  get carriedOut(): readonly string[] {
    return this.#carriedOut
  }

  /** Whether some point of this kind has a crash: it costs something to know when it is passed. */
  wants(kind: 'send' | 'sent' | 'received'): boolean {
    return [...this.#planned.keys()].some(name => name.startsWith(`${kind}:`))
  }

  /**
   * A process is at the point.
   *
   * @param inFlightMs of a write that has just begun: the crash comes within that time
   * @returns whether the process is still alive; otherwise it does nothing more
   */
  pass(life: Life, name: string, inFlightMs?: number): boolean {
    const planned = this.#planned.get(name)
    if (planned === undefined || !life.isAlive || this.isOver) return life.isAlive
    const passed = (this.#passed.get(name) ?? 0) + 1
    this.#passed.set(name, passed)
    const crash = planned.find(({ nth }) => nth === passed)
    if (crash === undefined) return true
    if (inFlightMs === undefined) this.#strike(crash)
    else life.after(Math.floor(crash.share * (inFlightMs + 1)), () => this.isOver || this.#strike(crash))
    return life.isAlive
  }

  #strike(crash: PlannedCrash): void {
    this.#loop.trace(`crash ${crash.point.name}`)
    this.#carriedOut.push(crash.point.name)
    this.crash(crash)
  }
}
