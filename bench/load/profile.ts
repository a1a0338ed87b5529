import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The parts used here of a `.cpuprofile`: a tree of calls, and samples of where the program was. */
interface Profile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: CallFrame }[]
  /** On the monotonic clock, in µs. */
  readonly startTime: number
  readonly samples: readonly number[]
  /** Time since the sample before, in µs. */
  readonly timeDeltas: readonly number[]
}

interface CallFrame {
  readonly functionName: string
  readonly url: string
  readonly lineNumber: number
}

const SHOWN = 25

/**
 * Where the main thread's time went while it was measured: functions by their own time, as shares of the time it was busy.
 * `(program)` is native code that belongs to no function.
 *
 * @param folder holds the profiles of one process, the newest last by name
 */
export function profileText(title: string, folder: string, fromMicros: number, toMicros: number): string {
  const profile = mainThreadProfile(folder)
  const ownMicros = ownTimes(profile, fromMicros, toMicros)
  const idle = ownMicros.get('(idle)') ?? 0
  ownMicros.delete('(idle)')
  const busy = sum(ownMicros.values())
  const top = [...ownMicros].sort((a, b) => b[1] - a[1]).slice(0, SHOWN)
  return [
    `${title}: main thread busy ${percent(busy, busy + idle)} %, of it`,
    ...top.map(([place, micros]) => `${percent(micros, busy).padStart(6)} %  ${place}`),
  ].join('\n')
}

/** The name ends with process id, thread id (0 is the main thread) and a serial number. */
function mainThreadProfile(folder: string): Profile {
  const files = readdirSync(folder).filter(name => /\.0\.\d+\.cpuprofile$/.test(name))
  return JSON.parse(readFileSync(join(folder, files.sort().at(-1)!), 'utf8')) as Profile
}

function ownTimes(profile: Profile, fromMicros: number, toMicros: number): Map<string, number> {
  const places = new Map(profile.nodes.map(({ id, callFrame }) => [id, placeOf(callFrame)]))
  const micros = new Map<string, number>()
  let now = profile.startTime
  for (const [index, sample] of profile.samples.entries()) {
    now += profile.timeDeltas[index]!
    // A sample says where the program is from now until the next one.
    const ownMicros = profile.timeDeltas[index + 1] ?? 0
    const place = places.get(sample)!
    if (now >= fromMicros && now < toMicros) micros.set(place, (micros.get(place) ?? 0) + ownMicros)
  }
  return micros
}

/** `…/core/queue.js:publish:120` */
function placeOf({ functionName, url, lineNumber }: CallFrame): string {
  const name = functionName === '' ? '(anonymous)' : functionName
  if (url === '') return name
  return `${url.split('/').slice(-3).join('/')}:${name}:${lineNumber + 1}`
}

function sum(values: Iterable<number>): number {
  let total = 0
  for (const value of values) total += value
  return total
}

function percent(part: number, whole: number): string {
  return ((100 * part) / whole).toFixed(1)
}
