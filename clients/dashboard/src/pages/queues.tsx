import { bytes, count, rate } from '../format.ts'
import { rateOf } from '../live/rates.ts'
import { useLive } from '../live/use-live.ts'
import { Badge, Empty, Pager, Search, Table, Waiting } from '../parts/common.tsx'
import { choose, type Place, place } from '../route.ts'
import type { QueueRow } from '../shapes.ts'

const ONLY = [
  ['', 'all'],
  ['busy', 'with messages'],
  ['paused', 'paused'],
  ['dead', 'with dead letters'],
] as const

export function Queues({ at }: { readonly at: Place }) {
  const { page, text, only } = at.query
  const { data, refused } = useLive('queues', { page, text, only })
  return (
    <>
      <div class="bar-above">
        <h1>Queues</h1>
        <div class="choices">
          <label>
            <span class="hidden">Which queues</span>
            <select value={only ?? ''} onChange={event => choose(at, { only: event.currentTarget.value, page: 0 })}>
              {ONLY.map(([value, words]) => (
                <option key={value} value={value}>
                  {words}
                </option>
              ))}
            </select>
          </label>
          <Search at={at} label="Name contains" />
        </div>
      </div>
      {data === undefined && <Waiting refused={refused} />}
      {data !== undefined && data.items.length === 0 && (
        <Empty
          title={text || only ? 'No such queue' : 'No queues yet'}
          command="npx sluice queue declare sales --lease 60s --deliveries-max 5"
        >
          {text || only
            ? 'No queue that you may see is like that.'
            : 'A queue is declared once, by a program or by hand:'}
        </Empty>
      )}
      {data !== undefined && data.items.length > 0 && (
        <>
          <Rows items={data.items} at={Date.parse(data.now)} />
          <Pager at={at} {...data} what="queue" />
        </>
      )}
    </>
  )
}

function Rows({ items, at }: { readonly items: readonly QueueRow[]; readonly at: number }) {
  return (
    <Table
      label="Queues"
      head={[
        'Queue',
        ['Ready', 'number'],
        ['In flight', 'number'],
        ['Delayed', 'number'],
        ['Dead', 'number'],
        ['Barriers', 'number'],
        ['Consumers', 'number'],
        ['Published/s', 'number'],
        ['Acked/s', 'number'],
        ['Size', 'number'],
      ]}
    >
      {items.map(row => (
        <Row key={row.name} row={row} at={at} />
      ))}
    </Table>
  )
}

function Row({ row, at }: { readonly row: QueueRow; readonly at: number }) {
  const { name, paused, ready } = row
  const link = (
    <th scope="row">
      <a href={place(['queues', name])}>
        <bdi class="name">{name}</bdi>
      </a>{' '}
      {paused && <Badge tone="warn">Ⅱ paused</Badge>}
    </th>
  )
  if (ready === undefined)
    return (
      <tr>
        {link}
        <td colSpan={9} class="muted">
          your token tells no counts of this queue
        </td>
      </tr>
    )
  const published = rateOf(`published ${name}`, at, row.published_total ?? 0)
  const acked = rateOf(`acked ${name}`, at, row.acked_total ?? 0)
  const numbers = [count(ready), count(row.leased), count(row.delayed)]
  return (
    <tr>
      {link}
      {numbers.map((text, index) => (
        <td key={index} class={text === '0' ? 'number zero' : 'number'}>
          {text}
        </td>
      ))}
      <td class={row.dead ? 'number' : 'number zero'}>
        {row.dead ? (
          <a class="bad-text" href={place(['queues', name, 'dead'])}>
            {count(row.dead)}
          </a>
        ) : (
          '0'
        )}
      </td>
      <td class={row.barriers_waiting ? 'number' : 'number zero'}>{count(row.barriers_waiting)}</td>
      <td class={row.subscriptions ? 'number' : 'number zero'}>{count(row.subscriptions)}</td>
      <td class={published ? 'number' : 'number zero'}>{rate(published)}</td>
      <td class={acked ? 'number' : 'number zero'}>{rate(acked)}</td>
      <td class={row.bytes ? 'number' : 'number zero'}>{bytes(row.bytes)}</td>
    </tr>
  )
}
