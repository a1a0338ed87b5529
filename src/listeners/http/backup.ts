import type { Principal } from '../../engine/peer.ts'
import { readCommand } from './body.ts'
import type { Exchange, Reply } from './exchange.ts'
import { Problem, type ProblemCode } from './problem.ts'
import type { Route } from './routes.ts'
import { INTEGER, json, object, TEXT, TIME } from './schema.ts'

/** Who takes backups. It judges whether the asker may, and whether the folder will do. */
export interface BackupDesk {
  take(
    by: { readonly principal: Principal | undefined; readonly address: string },
    folder: unknown,
  ): Promise<
    | { readonly folder: string; readonly bytes: number; readonly takenAt: string }
    | {
        readonly code: ProblemCode
        readonly detail: string
        readonly facts?: Readonly<Record<string, string | number>>
      }
  >
}

export const BACKUP_ROUTES: readonly Route[] = [
  {
    method: 'POST',
    path: '/v1/server/backup',
    summary: "Write a backup into a folder of the server's machine, while it runs",
    statuses: [201, 400, 404, 408, 409, 413, 415],
    right: 'server',
    body: json(object({ folder: TEXT })),
    answers: { 201: json(object({ folder: TEXT, bytes: INTEGER, taken_at: TIME })) },
    handle: backup,
  },
]

async function backup(exchange: Exchange): Promise<Reply> {
  exchange.query.end()
  const command = await readCommand(exchange)
  const folder = command.take('folder')
  command.end()
  const { shared, principal, wire } = exchange.connection
  if (shared.backups === undefined) throw new Problem('no-such-route', 'this server takes no backups')
  const answer = await shared.backups.take({ principal, address: wire.address }, folder)
  if ('code' in answer) throw new Problem(answer.code, answer.detail, answer.facts)
  return { status: 201, json: { folder: answer.folder, bytes: answer.bytes, taken_at: answer.takenAt } }
}
