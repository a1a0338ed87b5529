const LANES = 3

/** The lane of a message or barrier, which its id says. */
export function laneOf(id: string): number {
  return Number(id.slice(1)) % LANES
}

export function filterOf(lane: number): string {
  return `/lane = ${lane}`
}
