import type { Client, Queue } from '@sluice/client'

/** A task is a text; every dot in it is a second of work. Durable, as every queue here. */
export async function openTasks(client: Client): Promise<Queue<string>> {
  const tasks = client.queue<string>('tasks', { codec: 'text' })
  await tasks.declare()
  return tasks
}

/** Seems busy, a while for each dot. */
export function work(task: string, dotMs: number): Promise<void> {
  const dots = task.split('.').length - 1
  return new Promise(resolve => setTimeout(resolve, dots * dotMs))
}
