import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { type Browser, chromium, type Page } from 'playwright-core'
import { build } from 'vite'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { askingServer, until } from '../access/support.ts'
import { BadNetwork } from '../support/proxy.ts'
import type { PageState } from './browser/page.ts'

/** Debian's. Another one by CHROMIUM. */
const CHROMIUM = process.env['CHROMIUM'] ?? '/usr/bin/chromium'
const ROOT = path.join(import.meta.dirname, '../..')
/** Gzipped, of everything that `connect` brings; the README of the package says so too. A third is msgpackr. */
const CLIENT_BYTES_MAX = 34_000
/** Of an error class alone: what is not used is left out. */
const ERROR_BYTES_MAX = 1_000

const hasBrowser = existsSync(CHROMIUM)
if (!hasBrowser) console.log(`SKIPPED: there is no ${CHROMIUM}: apt-get install -y chromium`)

interface Chunk {
  readonly fileName: string
  readonly code: string
}

/** Bundled as an application would be: the built packages, by their `exports`. @param source text of the entry, or a file */
async function bundle(source: { readonly text: string } | { readonly file: string }): Promise<readonly Chunk[]> {
  const entry = 'file' in source ? source.file : path.join(import.meta.dirname, 'browser/entry.js')
  const text = 'text' in source ? source.text : undefined
  const output = await build({
    root: ROOT,
    configFile: false,
    logLevel: 'error',
    build: { write: false, target: 'es2022', rolldownOptions: { input: entry } },
    plugins: [
      {
        name: 'entry',
        resolveId: id => (text !== undefined && id === entry ? entry : null),
        load: id => (text !== undefined && id === entry ? text : null),
      },
    ],
  })
  const outputs = [output].flat().flatMap(one => ('output' in one ? one.output : []))
  return outputs.map(one => ({ fileName: one.fileName, code: 'code' in one ? one.code : '' }))
}

const gzippedBytes = (chunks: readonly Chunk[]) => chunks.reduce((sum, { code }) => sum + gzipSync(code).length, 0)

test('a bundle for browsers has nothing of Node, and is small', async () => {
  const chunks = await bundle({ text: "import { connect } from '@sluice/client'; globalThis.connect = connect" })
  // In the place of what a browser has not Vite puts an empty module.
  const ofNode = /["'`]node:|\brequire\(|from\s*["'](fs|net|tls|crypto|stream)["']|browser-external/
  expect(chunks.filter(({ fileName, code }) => ofNode.test(fileName) || ofNode.test(code))).toEqual([])
  console.log(`@sluice/client: ${gzippedBytes(chunks)} bytes gzipped`)
  expect(gzippedBytes(chunks)).toBeLessThan(CLIENT_BYTES_MAX)
  const error = await bundle({
    text: "import { PermanentError } from '@sluice/client'; globalThis.it = PermanentError",
  })
  expect(gzippedBytes(error)).toBeLessThan(ERROR_BYTES_MAX)
})

let browser: Browser | undefined
const profile = mkdtempSync(path.join(tmpdir(), 'sluice-chromium-'))

beforeAll(async () => {
  if (!hasBrowser) return
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-dev-shm-usage'],
    env: { ...process.env, HOME: profile, XDG_CONFIG_HOME: profile, XDG_CACHE_HOME: profile },
  })
}, 60_000)

afterAll(async () => {
  await browser?.close()
  rmSync(profile, { recursive: true, force: true, maxRetries: 3 })
})

/** Serves the page under a policy that allows neither foreign scripts nor text as code. @returns its origin */
async function servePage(): Promise<string> {
  const chunks = await bundle({ file: path.join(import.meta.dirname, 'browser/page.ts') })
  const [{ fileName = '' } = {}] = chunks
  const page = `<!doctype html><meta charset="utf-8"><title>Sluice</title><script type="module" src="/${fileName}"></script>`
  const server = createServer((request, response) => {
    const chunk = chunks.find(({ fileName }) => request.url === `/${fileName}`)
    response.setHeader('content-security-policy', "default-src 'self'; connect-src ws://127.0.0.1:*")
    response.setHeader('content-type', chunk === undefined ? 'text/html' : 'text/javascript')
    response.end(chunk?.code ?? page)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

type Window = typeof globalThis & { readonly state: PageState; readonly failure?: string }
const inPage = {
  log: (page: Page) => page.evaluate(() => (globalThis as Window).state.log),
  publish: (page: Page, n: number) => page.evaluate(n => (globalThis as Window).state.publish(n), n),
  barrier: (page: Page, name: string) => page.evaluate(name => (globalThis as Window).state.barrier(name), name),
}

async function open(origin: string, url: string, token: string): Promise<Page> {
  if (browser === undefined) throw new Error('there is no browser')
  const page = await browser.newPage()
  onTestFinished(() => page.close())
  await page.goto(`${origin}/?${new URLSearchParams({ url, token })}`)
  return page
}

test.skipIf(!hasBrowser)(
  'P9, B2, B11: a page in a browser shows its token, publishes, consumes, waits for a barrier, and goes on after its connection was lost',
  async () => {
    const origin = await servePage()
    const server = await askingServer({ config: { origins: [origin] } })
    const network = await BadNetwork.to(Number(new URL(server.url).port))
    onTestFinished(() => network.close())
    const rights = ['publish', 'consume', 'barrier', 'admin']
    const secret = await server.token('page', [{ queue: 'page', rights }])
    const url = `ws://127.0.0.1:${network.port}`

    const stranger = await open(origin, url, 'wrong')
    const failure = await stranger.waitForFunction(() => (globalThis as Window).failure)
    expect(await failure.jsonValue()).toContain('unauthenticated')

    const page = await open(origin, url, secret)
    await page.waitForFunction(() => (globalThis as Window).state)
    expect(await Promise.all([1, 2, 3].map(n => inPage.publish(page, n)))).toEqual([1, 2, 3])
    expect(await inPage.barrier(page, 'first')).toBe('clean')
    await until(async () => (await inPage.log(page)).includes('barrier first'))
    const before = ['message 1', 'message 2', 'message 3', 'barrier first']
    expect(await inPage.log(page)).toEqual(before)

    network.refuse(true)
    network.reset()
    await until(async () => (await inPage.log(page)).includes('reconnecting'))
    // Nobody is there to take it: it waits, and so does the barrier behind it.
    const published = inPage.publish(page, 4)
    const outcome = inPage.barrier(page, 'second')
    network.refuse(false)
    expect(await published).toBe(5)
    expect(await outcome).toBe('clean')
    await until(async () => (await inPage.log(page)).includes('barrier second'))
    expect(await inPage.log(page)).toEqual([...before, 'reconnecting', 'connected', 'message 4', 'barrier second'])
  },
)
