/*
 * Shows what was put aside, where it came from and why, and leaves it there.
 *
 *   node clients/examples/dist/list-worker/dead.js
 */
import { parseArgs } from 'node:util'
import { connect } from '@sluice/client'
import { URL_OPTION } from '../shared/url.ts'
import type { Item } from './items.ts'

const { values } = parseArgs({ options: { url: URL_OPTION } })

await using client = await connect(values.url, { name: 'dead' })
const dead = client.queue<Item>('demo-1.dead')
const { ready } = await dead.show()
let shown = 0

// Leaving the loop gives back what was not acked: nothing of it is.
if (ready > 0) {
  for await (const { body, origin } of dead.consume({ prefetch: ready, barriers: false })) {
    console.log(
      `${body.id}: ${origin?.reason} after ${origin?.attempts} attempts, from ${origin?.queue} ${origin?.sequence}`,
    )
    shown += 1
    if (shown === ready) break
  }
}
