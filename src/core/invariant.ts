/** Stops what is being done when a belief of ours is false: a bug, not a refusal. Nobody catches it to go on. */
export function invariant(holds: boolean, belief: string): asserts holds {
  if (!holds) throw new Error(`invariant broken: ${belief}`)
}
