/** Something small that is timed. */
export interface Case {
  readonly name: string
  /** How many messages one step is for. */
  readonly messages: number
  step(): void | Promise<void>
}

export interface Part {
  readonly cases: readonly Case[]
  /** Takes away what the cases needed. */
  readonly end?: () => Promise<void>
}
