import { connect } from '@sluice/client'
import axe from 'axe-core'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { silentLog } from '../../src/observe/log.ts'
import { startMemoryServer, startServer } from '../../src/server.ts'
import { askingServer, CONFIG } from '../access/support.ts'
import { NO_BROWSER, openBrowser, type TestBrowser } from './browser.ts'
import { Seeding, sales } from './seeding.ts'

const browserTest = test.skipIf(NO_BROWSER !== undefined)
let browser: TestBrowser

beforeAll(async () => {
  if (NO_BROWSER === undefined) browser = await openBrowser()
  else console.warn(NO_BROWSER)
}, 60_000)
afterAll(() => browser?.close())

type Options = Parameters<TestBrowser['page']>[1]

/** A page on a server; when the test ends, nothing foreign was asked for and no script has failed. */
async function visit(url: string, place = '', options?: Options) {
  const visited = await browser.page(url, options)
  onTestFinished(async () => {
    await visited.close()
    expect(visited.foreign).toEqual([])
    expect(visited.errors).toEqual([])
  })
  await visited.page.goto(`${url}/${place}`)
  return visited.page
}

async function openServer() {
  const server = await startMemoryServer()
  onTestFinished(() => server.close())
  return { url: server.url, seed: new Seeding(server.url) }
}

async function go(page: Page, place: string): Promise<void> {
  await page.evaluate(hash => {
    location.hash = hash
  }, place)
}

/** What axe finds wrong: rules of WCAG 2.1 A and AA, and its best practices. */
async function faults(page: Page): Promise<string[]> {
  // Not as a script of the page: its policy would not let it.
  await page.evaluate(axe.source)
  return page.evaluate(async () => {
    const checker = (
      globalThis as unknown as { axe: { run(): Promise<{ violations: { id: string; nodes: { html: string }[] }[] }> } }
    ).axe
    const { violations } = await checker.run()
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' | ')}`)
  })
}

function text(page: Page, words: string | RegExp) {
  return page.getByText(words).first().waitFor()
}

browserTest(
  'B17: a batch is shown at 0, 50 and 99 per cent, and released with its dead letters, as it happens',
  async () => {
    const { url, seed } = await openServer()
    await seed.queue('nightly')
    await seed.publish('nightly', sales(200))
    await seed.barrier('nightly', 'eof')
    const page = await visit(url, '#/batches/nightly/eof')
    const bar = page.getByRole('img', { name: /settled/ })
    const label = async (begin: string) => {
      await page.getByRole('img', { name: new RegExp(`^${begin}`) }).waitFor()
      return bar.getAttribute('aria-label')
    }
    expect(await label('0 % settled')).toBe(
      '0 % settled: 0 acked, 0 dead, 0 in flight, 0 delayed, 200 ready, of 200 published',
    )
    await text(page, 'No consumer is subscribed')
    await seed.work('nightly', 100, 'acks')
    expect(await label('50 % settled')).toContain('100 acked, 0 dead, 0 in flight, 0 delayed, 100 ready')
    await seed.work('nightly', 97, 'acks')
    await seed.work('nightly', 2, 'rejects')
    expect(await label('99 % settled')).toContain('197 acked, 2 dead, 0 in flight, 0 delayed, 1 ready')
    await text(page, '#200')
    await seed.work('nightly', 1, 'rejects')
    expect(await label('100 % settled')).toContain('197 acked, 3 dead')
    await text(page, '! with dead letters')
    await text(page, 'open')
  },
)

browserTest(
  'B17: what holds a batch is named with its worker and the age of its lease, and one click gives it back',
  async () => {
    const { url, seed } = await openServer()
    await seed.queue('thumbnails')
    await seed.publish('thumbnails', sales(2))
    await seed.barrier('thumbnails', 'album')
    await using worker = await connect(url.replace('http', 'ws'), { name: 'resize-4411' })
    const taken = worker.queue('thumbnails').consume({ prefetch: 1 })[Symbol.asyncIterator]()
    await taken.next()
    const page = await visit(url)
    const line = page.getByRole('listitem').filter({ hasText: '#1 in flight with resize-4411 for' })
    await line.waitFor()
    await line.getByRole('button', { name: 'Dead-letter message 1' }).click()
    await text(page, '#1 is a dead letter now')
    await page.getByRole('listitem').filter({ hasText: '#2 in flight with resize-4411' }).waitFor()
    expect((await seed.call<{ messages: object[] }>('GET', 'queues/thumbnails/dead')).messages.length).toBe(1)
  },
)

browserTest('a purge names what is lost, can be left, and takes the name of the queue when there is much', async () => {
  const { url, seed } = await openServer()
  await seed.queue('bulk')
  await seed.publish('bulk', sales(1_200))
  const page = await visit(url, '#/queues/bulk')
  const ask = async () => {
    await page.getByText('Purge…').click()
    await page.getByRole('button', { name: 'what is not in flight' }).click()
  }
  await ask()
  const dialog = page.getByRole('dialog')
  await text(page, /1,200 messages will be lost: 1,200 ready, 0 delayed/)
  const purge = dialog.getByRole('button', { name: 'Purge' })
  expect(await purge.isDisabled()).toBe(true)
  await page.keyboard.press('Escape')
  await dialog.waitFor({ state: 'detached' })
  expect((await seed.call<{ ready: number }>('GET', 'queues/bulk')).ready).toBe(1_200)
  await ask()
  await dialog.getByLabel(/Type the name/).fill('bulky')
  expect(await purge.isDisabled()).toBe(true)
  await dialog.getByLabel(/Type the name/).fill('bulk')
  await purge.click()
  await text(page, '1,200 messages purged from bulk')
  expect((await seed.call<{ ready: number }>('GET', 'queues/bulk')).ready).toBe(0)
})

browserTest('a dead letter is requeued by filter, the others stay; one by its own button', async () => {
  const { url, seed } = await openServer()
  await seed.queue('mail', { deliveries_max: 1 })
  await seed.publish('mail', [{ to: 'ada' }, { to: 'grace' }])
  await seed.work('mail', 2, 'rejects')
  const page = await visit(url, '#/dead')
  await page.getByRole('link', { name: /Look, requeue, purge/ }).click()
  await page.getByRole('list', { name: 'Dead letters' }).getByRole('listitem').nth(1).waitFor()
  await page.getByLabel('Filter').fill("/to = 'ada'")
  await page.getByRole('button', { name: 'Look' }).click()
  await page.getByRole('button', { name: 'Requeue matching…' }).click()
  await text(page, /The dead letters that are chosen of "mail", 1 message, go back/)
  await page.getByRole('dialog').getByRole('button', { name: 'Requeue' }).click()
  await text(page, '1 message requeued')
  const { ready } = await seed.call<{ ready: number }>('GET', 'queues/mail')
  const { messages } = await seed.call<{ messages: { body: string }[] }>('GET', 'queues/mail/dead')
  expect([ready, messages.map(({ body }) => body)]).toEqual([1, ['{"to":"grace"}']])
  await page.getByLabel('Filter').fill('')
  await page.getByRole('button', { name: 'Look' }).click()
  await page.getByRole('button', { name: 'Requeue dead letter 2' }).click()
  await text(page, '#2 requeued')
  await text(page, 'No dead letters')
})

browserTest('a filter is tried on what is in the queue, and a mistake in it is pointed at', async () => {
  const { url, seed } = await openServer()
  await seed.queue('orders')
  await seed.publish('orders', sales(80))
  const page = await visit(url, '#/queues/orders/messages')
  await page.getByRole('list', { name: 'Messages' }).getByRole('listitem').nth(19).waitFor()
  await page.getByLabel('Filter').fill('/store = 2')
  await page.getByRole('button', { name: 'Try the filter' }).click()
  await text(page, /matches 2 of the 80 messages/)
  await page.getByLabel('Filter').fill('/store = ')
  await page.getByRole('button', { name: 'Try the filter' }).click()
  await page.locator('.mistake').waitFor()
  expect(await page.locator('.mistake').textContent()).toMatch(/\/store = \n +\^/)
})

browserTest('names and bodies are shown as they are, and nothing in them runs, loads or breaks the page', async () => {
  const { url, seed } = await openServer()
  const evil = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`
  const names = [evil, `a/b?c#d%2F..`, '\u202Egnp.exe', "'; DROP TABLE --", `${'w'.repeat(200)}`, 'javascript:alert(1)']
  for (const name of names) {
    await seed.queue(name)
    await seed.publish(name, [{ html: evil, link: 'https://example.org/x.png' }, evil])
    await seed.barrier(name, `${name.slice(0, 200)}`)
    await seed.work(name, 1, 'rejects')
  }
  await using worker = await connect(url.replace('http', 'ws'), { name: evil })
  await worker.queue(evil).consume({ prefetch: 1 })[Symbol.asyncIterator]().next()
  const page = await visit(url)
  for (const name of names) await page.getByRole('link', { name, exact: true }).first().waitFor()
  for (const name of names) {
    const at = `#/queues/${encodeURIComponent(name)}`
    await go(page, at)
    expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe(name)
    await page.getByRole('heading', { name: 'Consumers' }).waitFor()
    await go(page, `${at}/dead`)
    await page.getByRole('list', { name: 'Dead letters' }).waitFor()
    await go(page, `#/batches/${encodeURIComponent(name)}/${encodeURIComponent(name.slice(0, 200))}`)
    await page.getByRole('heading', { name: 'Facts' }).waitFor()
    // What an operator can do reaches the queue of that name.
    await go(page, at)
    await page.getByRole('button', { name: 'Pause' }).click()
    await page.getByRole('button', { name: 'Resume' }).waitFor()
  }
  for (const place of ['#/timeline', '#/clients', '#/queues', '#/dead']) {
    await go(page, place)
    await page.getByText(evil).first().waitFor()
  }
  expect(await page.title()).not.toContain('owned')
  expect(await page.locator('#app img, #app script, #app iframe').count()).toBe(0)
  expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0)
})

browserTest(
  'with a token that only looks nothing can be changed; without one the page asks, and keeps it in the tab',
  async () => {
    const asking = await askingServer()
    const admin = new Seeding(asking.url, asking.admin)
    await admin.queue('orders')
    await admin.publish('orders', sales(3))
    await admin.barrier('orders', 'eof')
    await admin.work('orders', 1, 'hold')
    const viewer = await asking.token('viewer', [{ queue: '*', rights: ['browse'] }])
    const page = await visit(asking.url)
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    expect(await faults(page)).toEqual([])
    await page.getByLabel('Token').fill('slc_wrong')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await text(page, 'This token does not open the server.')
    await page.getByLabel('Token').fill(viewer)
    await page.keyboard.press('Enter')
    await page.getByRole('link', { name: 'eof' }).waitFor()
    await page.getByText('#1', { exact: true }).first().waitFor()
    expect(await page.getByRole('main').getByRole('button').count()).toBe(0)
    await go(page, '#/queues/orders')
    await page.getByRole('heading', { name: 'Consumers' }).waitFor()
    expect(await page.getByRole('main').getByRole('button').count()).toBe(0)
    await go(page, '#/clients')
    await text(page, 'Your token does not allow this')
    expect(page.url()).not.toContain(viewer)
    expect(await page.evaluate(() => [document.cookie, JSON.stringify(localStorage)].join())).not.toContain('slc_')
    await go(page, '#/queues')
    await page.getByRole('rowheader', { name: 'orders' }).waitFor()
    await asking.call('DELETE', '/v1/tokens/viewer', { token: asking.admin })
    await page.getByRole('heading', { name: 'Sign in' }).waitFor()
    await text(page, 'the token was revoked')
  },
)

browserTest(
  'every page is free of what axe finds wrong, light and dark, wide and narrow',
  async () => {
    const { url, seed } = await openServer()
    await seed.queue('nightly', { deliveries_max: 1 })
    await seed.publish('nightly', sales(30))
    await seed.barrier('nightly', 'eof-1')
    await seed.work('nightly', 28, 'acks')
    await seed.work('nightly', 2, 'rejects')
    await seed.publish('nightly', sales(20))
    await seed.barrier('nightly', 'eof-2', '&deadline=1h')
    await seed.publish('nightly', sales(5))
    await seed.work('nightly', 6, 'hold')
    await seed.queue('paused')
    await seed.publish('paused', sales(2))
    await seed.call('POST', 'queues/paused/pause')
    const places = [
      ['', 'Open batches'],
      ['#/batches/nightly/eof-2', 'Holding it'],
      ['#/batches/nightly/eof-1', 'Facts'],
      ['#/queues', 'Queues'],
      ['#/queues/nightly', 'Consumers'],
      ['#/queues/nightly/messages', 'nightly'],
      ['#/queues/nightly/dead', 'nightly'],
      ['#/queues/nightly/settings', 'nightly'],
      ['#/dead', 'Dead letters'],
      ['#/timeline', 'Timeline'],
      ['#/clients', 'Clients'],
      ['#/server', 'Server'],
    ] as const
    for (const options of [
      { colorScheme: 'light', viewport: { width: 1280, height: 800 } },
      { colorScheme: 'dark', viewport: { width: 390, height: 800 } },
    ] as const) {
      const page = await visit(url, '', options)
      for (const [place, heading] of places) {
        await go(page, place)
        await page.getByRole('heading', { name: heading }).first().waitFor()
        await page.locator('.loading').waitFor({ state: 'detached' })
        expect([place, options.colorScheme, await faults(page)]).toEqual([place, options.colorScheme, []])
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
        expect([place, overflow <= 0]).toEqual([place, true])
      }
      await go(page, '#/queues/nightly')
      await page.getByRole('button', { name: 'Delete…' }).click()
      await page.getByRole('dialog').waitFor()
      expect(await faults(page)).toEqual([])
    }
  },
  120_000,
)

browserTest('all can be reached and done by the keyboard, and a new page is begun at its start', async () => {
  const { url, seed } = await openServer()
  await seed.queue('orders')
  await seed.publish('orders', sales(3))
  const page = await visit(url)
  await page.getByRole('heading', { name: 'Open batches' }).waitFor()
  const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim() || document.activeElement?.id)
  await page.keyboard.press('Tab')
  expect(await focused()).toBe('Skip to the page')
  for (let k = 0; k < 3; k += 1) await page.keyboard.press('Tab')
  expect(await focused()).toBe('Queues')
  await page.keyboard.press('Enter')
  await page.getByRole('rowheader', { name: 'orders' }).waitFor()
  expect(await page.evaluate(() => document.activeElement?.id)).toBe('main')
  await page.getByRole('link', { name: 'orders' }).focus()
  await page.keyboard.press('Enter')
  await page.getByRole('button', { name: 'Delete…' }).focus()
  await page.keyboard.press('Enter')
  await text(page, /The queue and 3 messages will be lost/)
  // First in the dialog is what loses nothing.
  expect(await focused()).toBe('Keep it as it is')
  await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  await text(page, 'The queue orders is deleted')
  await text(page, 'No queues yet')
})

browserTest('a page that is hidden has no stream, and has one again when it is looked at', async () => {
  const { url, seed } = await openServer()
  await seed.queue('orders')
  const page = await visit(url, '#/queues')
  await page.getByRole('rowheader', { name: 'orders' }).waitFor()
  const show = (hidden: boolean) =>
    page.evaluate(isHidden => {
      Object.defineProperty(document, 'hidden', { configurable: true, get: () => isHidden })
      document.dispatchEvent(new Event('visibilitychange'))
    }, hidden)
  await show(true)
  await text(page, 'paused')
  await seed.queue('later')
  // Long enough for several updates, if there were any.
  await page.waitForTimeout(700)
  expect(await page.getByRole('rowheader', { name: 'later' }).count()).toBe(0)
  await show(false)
  await page.getByRole('rowheader', { name: 'later' }).waitFor()
  await text(page, 'live')
})

browserTest(
  'when the server goes the page says so, and goes on when it is back',
  async () => {
    const server = await startMemoryServer()
    const page = await visit(server.url)
    await text(page, 'No queues yet')
    await text(page, 'live')
    await server.close()
    await text(page, 'not reached; trying again')
    const listen = { host: '127.0.0.1', port: Number(new URL(server.url).port) }
    const again = await startServer({ ...CONFIG, auth: 'none', listen }, { log: silentLog })
    onTestFinished(() => again.close())
    await new Seeding(again.url).queue('after')
    await text(page, 'Everything is done')
    await text(page, 'live')
  },
  60_000,
)

browserTest(
  '10,000 queues stay fluid: a page has fifty, updates come while they work, and no task stops the page for long',
  async () => {
    const { url, seed } = await openServer()
    await using client = await connect(url.replace('http', 'ws'), { name: 'many' })
    const names = Array.from({ length: 10_000 }, (_, k) => `queue-${String(k).padStart(5, '0')}`)
    await Promise.all(names.map(name => client.queue(name).declare({})))
    const page = await visit(url, '#/queues')
    await text(page, 'queue-00049')
    expect(await page.locator('tbody tr').count()).toBe(50)
    await page.evaluate(() => {
      const long: number[] = []
      Object.assign(globalThis, { long })
      new PerformanceObserver(list => long.push(...list.getEntries().map(({ duration }) => duration))).observe({
        type: 'longtask',
      })
    })
    const row = page.getByRole('row', { name: /queue-00007/ })
    for (let count = 1; count <= 8; count += 1) {
      await seed.publish('queue-00007', sales(1))
      await row
        .getByRole('cell', { name: String(count), exact: true })
        .first()
        .waitFor()
    }
    await page.getByLabel('Name contains').fill('09999')
    await text(page, 'queue-09999')
    expect(await page.locator('tbody tr').count()).toBe(1)
    const long = await page.evaluate(() => (globalThis as unknown as { long: number[] }).long)
    expect(Math.max(0, ...long)).toBeLessThan(500)
  },
  90_000,
)
