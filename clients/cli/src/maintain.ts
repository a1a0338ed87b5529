import { resolve } from 'node:path'
import { DONE, NOT_FOUND, REFUSED, Stop, UNEXPECTED, USAGE } from './exit.ts'
import { count, counted, sized } from './format.ts'
import { type DataContents, type Here, hereOf, type NotDone } from './here.ts'
import { ask, type Document, LONG_TIMEOUT_MS } from './http.ts'
import { printJson, type Shell, write } from './io.ts'
import { type Cell, printTable } from './table.ts'

/* Backup, restore, check: what keeps the data of a server. */

/** A copy of a hundred gibibytes takes its time. */
const BACKUP_TIMEOUT_MS: number = 12 * LONG_TIMEOUT_MS

/** Whatever the server says of itself: a newer one may say more. */
export async function info(shell: Shell): Promise<number> {
  const facts = await ask(shell, 'GET', '/v1/server')
  if (shell.json) await printJson(shell, facts)
  else await printTable(shell, ['WHAT', 'VALUE'], flattened(facts))
  return DONE
}

/** `limits.message_max` and its value, for what is inside of what. */
function flattened(facts: Document, before = ''): readonly (readonly [string, Cell])[] {
  return Object.entries(facts).flatMap(([name, value]): readonly (readonly [string, Cell])[] => {
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      return flattened(value as Document, `${before}${name}.`)
    return [[`${before}${name}`, Array.isArray(value) ? value.join(', ') : (value as Cell)]]
  })
}

export async function backup(shell: Shell, folder: string): Promise<number> {
  // The path is one of the server's machine: what is typed here means something there only if it is this one.
  const path = isHere(shell.url) ? resolve(folder) : folder
  const answer = await ask(shell, 'POST', '/v1/server/backup', { folder: path }, BACKUP_TIMEOUT_MS)
  if (shell.json) await printJson(shell, answer)
  shell.talk.done(`backup in ${answer['folder']}, ${sized(answer['bytes'] as number)}`)
  shell.talk.say(`   put it back with: sluice server restore ${answer['folder']} --data NEW-FOLDER`)
  return DONE
}

function isHere(url: string): boolean {
  return /^(?:localhost|127\.[\d.]+|\[::1\])$/.test(new URL(url).hostname)
}

export async function restore(shell: Shell, here: Here | undefined, from: string, data: string): Promise<number> {
  const answer = done(await hereOf(here).restore(from, data))
  const { takenAt, contents } = answer
  if (shell.json) await printJson(shell, { data, taken_at: takenAt, ...documentOf(contents) })
  else await printQueues(shell, contents)
  shell.talk.done(
    `${data} is as it was at ${takenAt}: ${counted(contents.queues.length, 'queue')}, every checksum right`,
  )
  shell.talk.say('   What was published, acked or declared since then is not in it.')
  shell.talk.say(`   start it with: sluice serve --data ${data}`)
  return DONE
}

export async function checkData(shell: Shell, here: Here | undefined, data: string): Promise<number> {
  const contents = done(await hereOf(here).scan(data))
  if (shell.json) await printJson(shell, documentOf(contents))
  else await printQueues(shell, contents)
  if (contents.damagedCount === 0) {
    shell.talk.done(`${counted(contents.rows, 'row')} in ${data}, every checksum right`)
    return DONE
  }
  for (const line of contents.damage) shell.talk.failed(line)
  const more = contents.damagedCount - contents.damage.length
  if (more > 0) shell.talk.say(`   … and ${count(more)} more`)
  shell.talk.failed(`${count(contents.damagedCount)} of ${counted(contents.rows, 'row')} damaged`)
  shell.talk.say('   take the last good backup: sluice server restore BACKUP --data NEW-FOLDER')
  return UNEXPECTED
}

export async function checkConfig(shell: Shell, here: Here | undefined, file: string | undefined): Promise<number> {
  const { settings, queues, toml } = done(await hereOf(here).check(file, shell.io.env))
  if (shell.json) await printJson(shell, { settings, queues })
  else await write(shell.io.stdout, toml)
  shell.talk.done(`${file ?? 'the configuration'} can be used; it declares ${counted(queues.length, 'queue')}`)
  return DONE
}

const EXITS: Readonly<Record<string, number>> = {
  'bad-config': USAGE,
  'no-backup': NOT_FOUND,
  'damaged-backup': UNEXPECTED,
  damaged: UNEXPECTED,
}

const NEXT: Readonly<Record<string, string>> = {
  locked: 'a running server is asked for a backup, and that is checked: sluice server backup DIR',
  'damaged-backup': 'look for another backup: a folder is one if it has a backup.json',
  'no-backup': 'look for another backup: a folder is one if it has a backup.json',
  damaged: 'take the last good backup: sluice server restore BACKUP --data NEW-FOLDER',
}

function done<T extends object>(answer: T | NotDone): T {
  if (!('problems' in answer)) return answer
  const { code, problems } = answer
  const next = NEXT[code]
  throw new Stop(EXITS[code] ?? REFUSED, problems.join('\n   '), ...(next === undefined ? [] : [next]))
}

async function printQueues(shell: Shell, { queues }: DataContents): Promise<void> {
  const head = ['QUEUE', 'MESSAGES', 'BYTES', 'BARRIERS', 'RECORDS', 'PARTIES', 'PRODUCERS', 'IDS']
  const rows = queues.map(({ queue, messages, bytes, barriers, records, parties, producers, messageIds }) => [
    queue,
    messages,
    bytes,
    barriers,
    records,
    parties,
    producers,
    messageIds,
  ])
  if (queues.length > 0) await printTable(shell, head, rows)
}

function documentOf({ format, rows, queues, damage, damagedCount }: DataContents): Document {
  return {
    format,
    rows,
    queues: queues.map(({ messageIds, ...rest }) => ({ ...rest, message_ids: messageIds })),
    damage,
    damaged_count: damagedCount,
  }
}
