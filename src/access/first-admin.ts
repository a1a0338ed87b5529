import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Access, AccessLog } from './access.ts'

const FILE = 'admin.token'

/**
 * A server that asks for tokens and has none makes one for its operator, and says where its secret is.
 *
 * @param folder where to put it; absent: in a folder of its own, which goes when the server closes
 * @returns takes away what must not outlive the server
 */
export function makeFirstAdmin(access: Access, folder: string | undefined, log: AccessLog): () => void {
  if (access.count > 0) return () => {}
  const into = folder ?? mkdtempSync(join(tmpdir(), 'sluice-'))
  const file = join(into, FILE)
  access.createAdmin(file)
  log.warn('admin-token-written', { name: 'admin', file })
  return () => {
    if (folder === undefined) rmSync(into, { recursive: true, force: true })
  }
}
