/*
 * Shows what was put aside, where it came from and why, and leaves it there; `sluice dead requeue demo-1` puts it back.
 *
 *   node clients/examples/dist/list-worker/dead.js
 */
import { parseArgs } from 'node:util'
import { connect } from '@sluice/client'
import { URL_OPTION } from '../shared/url.ts'
import type { Item } from './items.ts'

const { values } = parseArgs({ options: { url: URL_OPTION } })

await using client = await connect(values.url, { name: 'dead' })
// #region dead
const { messages } = await client.queue<Item>('demo-1').dead.list()
for (const { body, origin } of messages) {
  console.log(
    `${body.id}: ${origin?.reason} after ${origin?.attempts} attempts, from ${origin?.queue} ${origin?.sequence}`,
  )
}
// #endregion
