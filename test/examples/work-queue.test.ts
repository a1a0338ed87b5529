import { expect, test } from 'vitest'
import { startServer } from '../clients/cli-support.ts'
import { example, finished } from './support.ts'

const FAST = ['--dot-ms', '20'] as const
const received = (lines: readonly string[]) => lines.filter(line => line.includes('Received'))

test('D1, D8: five tasks are shared by two workers', async () => {
  await using server = await startServer()
  const workers = [example(server, 'work-queue/worker', ...FAST), example(server, 'work-queue/worker', ...FAST)]
  await Promise.all(workers.map(worker => worker.says('Waiting')))
  const tasks = ['First message.', 'Second message..', 'Third message...', 'Fourth message....', 'Fifth message.....']
  for (const task of tasks)
    expect(await finished(example(server, 'work-queue/new-task', ...task.split(' ')))).toEqual([` [x] Sent '${task}'`])
  const done = () => workers.flatMap(worker => worker.lines).filter(line => line === ' [x] Done').length
  await expect.poll(done, { timeout: 10_000 }).toBe(tasks.length)
  const got = workers.flatMap(worker => received(worker.lines)).sort()
  expect(got).toEqual(tasks.map(task => ` [x] Received '${task}'`).sort())
  await Promise.all(workers.map(worker => worker.interrupt()))
})

test('D2, D8: with prefetch 1 both workers are busy; dealt round robin, one has all the heavy tasks', async () => {
  await using server = await startServer()
  const lines = await finished(example(server, 'work-queue/fair-dispatch', '--dot-ms', '40'))
  const [dealt, fair] = lines.map(line => {
    const [first, second, seconds] = [...line.matchAll(/(\d+) dots|([\d.]+) s$/g)].map(([, dots, s]) =>
      Number(dots ?? s),
    )
    return { dots: [first!, second!].sort((a, b) => a - b), seconds: seconds! }
  })
  expect(dealt!.dots).toEqual([5, 40])
  expect(fair!.dots[0]).toBeGreaterThanOrEqual(15)
  expect(fair!.dots[0]! + fair!.dots[1]!).toBe(45)
  expect(fair!.seconds).toBeLessThan(dealt!.seconds)
})

test('D6, D5: the task of a worker that is killed in the midst of it goes to another', async () => {
  await using server = await startServer()
  const doomed = example(server, 'work-queue/worker', '--dot-ms', '20000')
  await doomed.says('Waiting')
  await finished(example(server, 'work-queue/new-task', 'hard.'))
  await doomed.says('Received')
  const other = example(server, 'work-queue/worker', ...FAST)
  await other.says('Waiting')
  doomed.child.kill('SIGKILL')
  await other.says('Done')
  expect(received(other.lines)).toEqual([" [x] Received 'hard.' (again)"])
  await other.interrupt()
})

test('R1, P1: tasks survive a kill -9 of the server, and a waiting worker goes on by itself', async () => {
  await using server = await startServer({ durable: true })
  for (const task of ['one.', 'two..', 'three...']) await finished(example(server, 'work-queue/new-task', task))
  await server.crash()
  const worker = example(server, 'work-queue/worker', ...FAST)
  await worker.says("Received 'three...'")
  await server.crash()
  await finished(example(server, 'work-queue/new-task', 'four.'))
  await worker.says("Received 'four.'")
  await worker.interrupt()
})
