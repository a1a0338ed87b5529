import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'

/** Debian's. Another one by CHROMIUM. */
const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium'

/** Why there is no browser, and what to do about it; undefined where there is one. */
export const NO_BROWSER: string | undefined = existsSync(CHROMIUM)
  ? undefined
  : `skipped: no ${CHROMIUM}; install it with: apt-get install -y chromium`

/** Nothing of its own goes out, nothing is kept. */
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
]

export interface TestBrowser {
  /** A fresh one, as nobody has used it; what it asked for of others than the server is in `foreign`. */
  page(url: string, options?: BrowserContextOptions): Promise<TestPage>
  close(): Promise<void>
}

export interface TestPage {
  readonly page: Page
  /** Addresses that it wanted and that are not the server's: must stay empty. */
  readonly foreign: readonly string[]
  /** Errors of its scripts, and what the policy has forbidden. */
  readonly errors: readonly string[]
  close(): Promise<void>
}

export async function openBrowser(): Promise<TestBrowser> {
  const profile = mkdtempSync(join(tmpdir(), 'sluice-chromium-'))
  const browser: Browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [...FLAGS, `--crash-dumps-dir=${profile}`],
    env: { ...process.env, HOME: profile, XDG_CONFIG_HOME: profile, XDG_CACHE_HOME: profile },
  })
  return {
    async page(url, options) {
      const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options })
      const page = await context.newPage()
      const foreign: string[] = []
      const errors: string[] = []
      await context.route(
        address => address.origin !== new URL(url).origin,
        route => {
          foreign.push(route.request().url())
          return route.abort()
        },
      )
      page.on('pageerror', error => errors.push(String(error)))
      page.on('console', message => {
        // What the server refuses, or does not answer, is part of the tests; what the policy forbids is not among it.
        const isNews = message.type() === 'error' && !message.text().startsWith('Failed to load resource')
        if (isNews) errors.push(message.text())
      })
      return { page, foreign, errors, close: () => context.close() }
    },
    async close() {
      await browser.close()
      rmSync(profile, { recursive: true, force: true, maxRetries: 3 })
    },
  }
}
