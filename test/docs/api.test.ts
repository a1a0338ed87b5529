import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import path from 'node:path'
import { expect, test } from 'vitest'
import { ROOT } from './markdown.ts'

test('TypeDoc finds nothing missing: every export has a comment, and each type that one names is exported too', () => {
  const workspace = path.join(ROOT, 'clients/reference')
  const typedoc = createRequire(path.join(workspace, 'package.json')).resolve('typedoc')
  const program = path.join(typedoc, '../../bin/typedoc')
  const args = [program, '--emit', 'none', '--logLevel', 'Warn', '--pretty', 'false']
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: workspace, encoding: 'utf8' })
  expect({ status, said: stdout + stderr }).toEqual({ status: 0, said: '' })
})
