import { connect } from '@sluice/client'
import { startMemoryServer } from '../../src/server.ts'
import { openBrowser } from './browser.ts'
import { Seeding, sales } from './seeding.ts'

/* Draws the pictures of docs/images: npm run screenshots. A clock that is moved by hand keeps them the same. */

const server = await startMemoryServer({ virtualClock: true })
const seed = new Seeding(server.url)
const folder = process.argv[2] ?? 'docs/images'

await seed.queue('nightly-sales', { lease: '5m', deliveries_max: 3, forward_barrier: ['totals'], retry_delay: '30s' })
await seed.queue('totals', {})
await seed.queue('thumbnails', { lease: '30m' })
await seed.queue('welcome-mail', { deliveries_max: 1 })
await seed.queue('audit', {})
await seed.queue('orders.eu', { group: 'property' })
for (let day = 17; day < 20; day += 1) {
  await seed.publish('nightly-sales', sales(900))
  await server.advance(240_000)
  const bad = day === 18 ? await seed.work('nightly-sales', 4, 'rejects') : 0
  await seed.work('nightly-sales', 900 - bad, 'acks')
  await seed.barrier('nightly-sales', `eof-2026-11-${day}`)
  await server.advance(120_000)
  await seed.publish('totals', sales(12))
  await seed.work('totals', 12, 'acks')
  await server.advance(90_000)
}
await seed.publish('welcome-mail', [{ to: 'ada@example.org' }, { to: '' }, { to: 'grace@example.org' }])
await seed.work('welcome-mail', 3, 'rejects')
await seed.publish('audit', sales(41))
await seed.call('POST', 'queues/audit/pause')
await seed.publish('nightly-sales', sales(12_000))
await seed.barrier('nightly-sales', 'eof-2026-11-20', '&deadline=6h')
await seed.publish('nightly-sales', sales(412))
await seed.publish('thumbnails', sales(2_000))
await seed.barrier('thumbnails', 'album-812')
await seed.publish('thumbnails', sales(150))

const resize = await connect(server.url.replace('http', 'ws'), { name: 'resize-4411' })
const stuck = resize.queue('thumbnails').consume({ prefetch: 3 })[Symbol.asyncIterator]()
await stuck.next()
const loader = await connect(server.url.replace('http', 'ws'), { name: 'loader-1' })
await seed.work('thumbnails', 1_997, 'acks')
await server.advance(252_000)

const browser = await openBrowser()
const names = ['batches', 'batch', 'queues', 'queue', 'dead', 'timeline', 'released', 'clients'] as const
const places: Record<(typeof names)[number], string> = {
  batches: '',
  batch: '#/batches/nightly-sales/eof-2026-11-20',
  released: '#/batches/nightly-sales/eof-2026-11-18',
  queues: '#/queues',
  queue: '#/queues/thumbnails',
  dead: '#/queues/welcome-mail/dead',
  timeline: '#/timeline',
  clients: '#/clients',
}
const loading = loader.queue('nightly-sales').consume({ prefetch: 100 })[Symbol.asyncIterator]()
for (const colorScheme of ['light', 'dark'] as const) {
  for (const width of [1280, 390]) {
    if (process.argv[4] !== undefined && process.argv[4] !== `${colorScheme}-${width}`) continue
    const { page, close, errors } = await browser.page(server.url, {
      colorScheme,
      viewport: { width, height: 800 },
      reducedMotion: 'reduce',
    })
    await page.goto(server.url)
    await page.getByRole('heading', { name: 'Open batches' }).waitFor()
    for (let k = 0; k < 10; k += 1) {
      for (let n = 0; n < 150 + 40 * (k % 3); n += 1) {
        const { value } = await loading.next()
        if (value?.kind === 'message') await value.ack()
      }
      await seed.publish('orders.eu', sales(30 + 20 * (k % 2)))
      await server.advance(1_000)
      await page.waitForTimeout(330)
    }
    for (const name of names) {
      if (process.argv[3] !== undefined && !process.argv[3].split(',').includes(name)) continue
      await page.evaluate(hash => {
        location.hash = hash
      }, places[name])
      await page.waitForTimeout(900)
      const suffix = `${width === 390 ? '-small' : ''}${colorScheme === 'dark' ? '-dark' : ''}`
      await page.screenshot({ path: `${folder}/dashboard-${name}${suffix}.png`, fullPage: true })
    }
    if (errors.length > 0) console.error(errors)
    await close()
  }
}
await browser.close()
await resize.close()
await loader.close()
await server.close()
