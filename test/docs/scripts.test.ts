import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { ROOT } from './markdown.ts'

/** Those that take options; each reads them by test/support/command-line.ts. */
const SCRIPTS = ['simulate', 'simulate:mutants', 'crash', 'soak', 'hurt', 'bench']
const { scripts } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as {
  readonly scripts: Readonly<Record<string, string>>
}

/** As npm runs it, but for the build, which is there. */
function run(script: string, ...args: string[]) {
  const command = (scripts[script] ?? '').replace(/^tsc -b && /, '')
  const bin = path.join(ROOT, 'node_modules/.bin')
  return spawnSync(`${command} ${args.join(' ')}`, {
    cwd: ROOT,
    shell: true,
    encoding: 'utf8',
    env: { ...process.env, PATH: `${bin}${path.delimiter}${process.env['PATH']}` },
  })
}

describe.each(SCRIPTS)('npm run %s', script => {
  test('--help tells the options and an example, and nothing is done', () => {
    const { status, stdout, stderr } = run(script, '--help')
    expect(stderr).toBe('')
    expect(status).toBe(0)
    expect(stdout).toContain(`Usage: npm run ${script} -- [options]\n`)
    expect(stdout).toMatch(/\(default: .*\)\n/)
    expect(stdout).toContain(`\nExamples:\n  $ npm run ${script} -- --`)
  })

  test('an option that there is not ends it with 2, and is told', () => {
    const { status, stdout, stderr } = run(script, '--nonsense')
    expect(stderr).toBe(`${script}: Unknown option '--nonsense'\nnpm run ${script} -- --help tells what there is\n`)
    expect(status).toBe(2)
    expect(stdout).toBe('')
  })
})
