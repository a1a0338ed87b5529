import { bytes, count } from '../format.ts'
import { useLive } from '../live/use-live.ts'
import { Badge, Waiting } from '../parts/common.tsx'

export function Server() {
  const { data, refused } = useLive('server')
  if (data === undefined) return <Waiting refused={refused} />
  const { server, totals } = data
  return (
    <>
      <h1>Server</h1>
      <dl class="facts">
        <dt>Serves</dt>
        <dd>{server.ready ? <Badge tone="good">✓ ready</Badge> : <Badge tone="bad">✕ not ready</Badge>}</dd>
        <dt>Publishing</dt>
        <dd>
          {data.stopped === undefined ? (
            <Badge tone="good">✓ open</Badge>
          ) : (
            <>
              <Badge tone="bad">✕ stopped</Badge> {data.stopped}
            </>
          )}
        </dd>
        <dt>Version</dt>
        <dd>{server.version}</dd>
        <dt>Starts on this data</dt>
        <dd>{count(server.start)}</dd>
        <dt>You are</dt>
        <dd>
          {data.principal === undefined ? (
            'not asked for a token; you may do everything'
          ) : (
            <bdi class="name">{data.principal}</bdi>
          )}
        </dd>
        <dt>Largest message</dt>
        <dd>{bytes(server.limits.message_max)}</dd>
        <dt>Messages of a frame</dt>
        <dd>at most {count(server.limits.frame_messages_max)}</dd>
        <dt>Queues that you see</dt>
        <dd>{count(totals.queues)}</dd>
        <dt>Live messages</dt>
        <dd>
          {count(totals.live)}, of them {count(totals.leased)} in flight
        </dd>
        <dt>Subscriptions</dt>
        <dd>{count(totals.subscriptions)}</dd>
        <dt>Barriers that wait</dt>
        <dd>{count(totals.barriers_waiting)}</dd>
        <dt>Published and acked since the start</dt>
        <dd>
          {count(totals.published)}, {count(totals.acked)}
        </dd>
      </dl>
      <p class="muted">
        Counts are of the queues whose messages your token shows. More is told by <code>/v1/server</code> and{' '}
        <code>/readyz</code>.
      </p>
    </>
  )
}
