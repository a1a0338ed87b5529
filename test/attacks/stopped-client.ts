import { connect } from '@sluice/client'

// A consumer that takes all it can get and settles nothing. Started by stopped.test.ts, which stops it.
const [url = '', queue = ''] = process.argv.slice(2)
const client = await connect(url, { name: 'stopped' })
for await (const { kind } of client.queue(queue, { codec: 'bytes' }).consume({ prefetch: 1_000, concurrency: 1_000 }))
  console.log(kind)
