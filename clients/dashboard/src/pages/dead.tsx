import { count } from '../format.ts'
import { useLive } from '../live/use-live.ts'
import { Empty, Pager, Search, Table, Waiting } from '../parts/common.tsx'
import { type Place, place } from '../route.ts'

/** Queues that have dead letters; what to do about them is done there. */
export function Dead({ at }: { readonly at: Place }) {
  const { data, refused } = useLive('queues', { page: at.query['page'], text: at.query['text'], only: 'dead' })
  return (
    <>
      <div class="bar-above">
        <h1>Dead letters</h1>
        <Search at={at} label="Queue name contains" />
      </div>
      {data === undefined && <Waiting refused={refused} />}
      {data !== undefined && data.items.length === 0 && (
        <Empty title="No dead letters" command="npx sluice queue update sales --deliveries-max 5">
          A message becomes a dead letter when it was rejected, expired, or failed as often as its queue allows. With a
          limit of attempts nothing is tried for ever:
        </Empty>
      )}
      {data !== undefined && data.items.length > 0 && (
        <>
          <Table label="Queues with dead letters" head={['They came from', ['Dead letters', 'number'], '']}>
            {data.items.map(row => (
              <tr key={row.name}>
                <th scope="row">
                  <a href={place(['queues', row.name])}>
                    <bdi class="name">{row.name}</bdi>
                  </a>
                </th>
                <td class="number">{count(row.dead)}</td>
                <td>
                  <a href={place(['queues', row.name, 'dead'])}>
                    Look, requeue, purge<span class="hidden">: {row.name}</span>
                  </a>
                </td>
              </tr>
            ))}
          </Table>
          <Pager at={at} {...data} what="queue" />
        </>
      )}
    </>
  )
}
