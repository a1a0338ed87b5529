import { defineConfig } from 'vitest/config'

/** The condition under which workspaces resolve to their TypeScript sources: nothing has to be built before the unit tests. */
const conditions = ['@sluice/source', 'node', 'import', 'default']
const shared = {
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  oxc: { target: 'es2022' as const },
}
/** Beside what they test, and slow. */
const SLOW_CLIENTS = ['browser', 'packages'].map(name => `test/clients/${name}.test.ts`)
const at = (...folders: string[]) => folders.map(folder => `test/${folder}/**/*.test.ts`)

export default defineConfig({
  ...shared,
  test: {
    projects: [
      {
        ...shared,
        test: {
          name: 'unit',
          include: ['test/*.test.ts', ...at('core', 'filters', 'protocol', 'config', 'support')],
          testTimeout: 10_000,
        },
      },
      {
        ...shared,
        test: {
          name: 'server',
          include: [
            ...at('access', 'journal', 'engine', 'net', 'observe', 'listeners', 'clients', 'attacks'),
            ...at('upkeep', 'webhooks'),
          ],
          exclude: SLOW_CLIENTS,
          testTimeout: 30_000,
        },
      },
      {
        ...shared,
        test: {
          name: 'slow',
          include: [
            ...SLOW_CLIENTS,
            ...at('simulation', 'crash', 'examples', 'bench', 'fuzz', 'soak', 'load', 'docs', 'dashboard'),
          ],
          testTimeout: 180_000,
        },
      },
    ],
  },
})
