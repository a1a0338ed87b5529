import { expect, test } from 'vitest'
import { virtualClock } from '../../src/engine/clock.ts'
import { type DiskSpace, Pressure } from '../../src/engine/pressure.ts'

const MARK = 100
const plenty: DiskSpace = { freeBytes: MARK * 10, totalBytes: MARK * 100 }
const free = (freeBytes: number): DiskSpace => ({ ...plenty, freeBytes })

/** A pressure over a disk that can be set, on a clock that can be moved. */
function scene(first: DiskSpace) {
  const clock = virtualClock()
  let space: DiskSpace | Error = first
  let looks = 0
  const pressure = new Pressure(
    clock,
    async () => {
      looks += 1
      if (space instanceof Error) throw space
      return space
    },
    MARK,
  )
  return {
    pressure,
    looks: () => looks,
    set: (next: DiskSpace | Error) => {
      space = next
    },
    /** Lets time pass in small steps: each look takes a turn of the loop. */
    async pass(ms: number): Promise<void> {
      for (let k = 0; k < ms; k += 10) {
        clock.advance(10)
        await new Promise(resolve => setImmediate(resolve))
      }
    },
  }
}

test('R5: publishing stops below the mark, and resumes by itself at 1.1 times of it', async () => {
  const { pressure, set, pass } = scene(plenty)
  const told: string[] = []
  pressure.onChange((on, reason) => told.push(`${on} ${reason}`))
  await pressure.watch()
  expect(pressure.on).toBe(false)
  set(free(MARK - 1))
  await pass(1_000)
  expect(pressure.on).toBe(true)
  set(free(MARK * 1.09))
  await pass(1_000)
  expect(pressure.on).toBe(true)
  set(free(MARK * 1.11))
  await pass(1_000)
  expect(pressure.on).toBe(false)
  expect(told).toEqual([expect.stringMatching(/^true only 0 MiB of disk are free/), 'false '])
})

test('R5: what is spare in our own file counts as free, but for the last half of the mark', async () => {
  const { pressure, set, pass } = scene({ ...free(MARK - 1), spareBytes: MARK })
  await pressure.watch()
  expect(pressure.on).toBe(false)
  set({ ...free(MARK / 2 - 1), spareBytes: MARK * 10 })
  await pass(1_000)
  expect(pressure.on).toBe(true)
  set({ ...free(MARK / 2), spareBytes: MARK })
  await pass(1_000)
  expect(pressure.on).toBe(false)
})

test('R5: near the mark the disk is looked at often enough for a fast publisher', async () => {
  const { pressure, looks, set, pass } = scene(plenty)
  await pressure.watch()
  await pass(2_000)
  expect(looks()).toBeLessThan(5)
  set(free(MARK * 3))
  await pass(1_000)
  const before = looks()
  await pass(1_000)
  expect(looks() - before).toBeGreaterThan(15)
})

test('R5: a look that fails stops publishing, and the next one that succeeds lets it resume', async () => {
  const { pressure, set, pass } = scene(plenty)
  await pressure.watch()
  set(new Error('EIO'))
  await pass(1_000)
  expect(pressure).toMatchObject({ on: true, reason: expect.stringContaining('cannot be read') })
  set(plenty)
  await pass(2_000)
  expect(pressure.on).toBe(false)
})

test('after stop nothing is looked at any more, also if a look was under way', async () => {
  const { pressure, looks, pass } = scene(plenty)
  const watching = pressure.watch()
  pressure.stop()
  await watching
  await pass(3_000)
  expect(looks()).toBe(1)
})
