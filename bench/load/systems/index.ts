import type { System } from '../system.ts'
import { sluice } from './sluice.ts'

/** All there are, by the name that the command line uses. */
export const SYSTEMS: Readonly<Record<string, System>> = { sluice }
