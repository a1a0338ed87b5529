import { ask, path } from '../api.ts'
import { count, duration } from '../format.ts'
import { useLive } from '../live/use-live.ts'
import { confirm, lost } from '../parts/acting.tsx'
import { Empty, Pager, Search, Table, Waiting } from '../parts/common.tsx'
import { Credit } from '../parts/credit.tsx'
import { type Place, place } from '../route.ts'
import type { Client } from '../shapes.ts'

export function Clients({ at }: { readonly at: Place }) {
  const { data, refused } = useLive('clients', { page: at.query['page'], text: at.query['text'] })
  return (
    <>
      <div class="bar-above">
        <h1>Clients</h1>
        <Search at={at} label="Name contains" />
      </div>
      {data === undefined && <Waiting refused={refused} />}
      {data !== undefined && data.items.length === 0 && (
        <Empty title="Nobody is connected" command="npx sluice consume sales --exec ./work">
          A client appears here as long as it is connected.
        </Empty>
      )}
      {data !== undefined && data.items.length > 0 && (
        <>
          <Table
            label="Clients"
            head={[
              ['No.', 'number'],
              'Name or address',
              'By',
              'Token',
              'Connected for',
              'Subscriptions and the credit they use',
              '',
            ]}
          >
            {data.items.map(client => (
              <tr key={client.id}>
                <td class="number">{count(client.id)}</td>
                <th scope="row">
                  <bdi class="name">{client.name}</bdi>
                </th>
                <td>{client.protocol}</td>
                <td>
                  {client.principal === undefined ? (
                    <span class="muted">none</span>
                  ) : (
                    <bdi class="name">{client.principal}</bdi>
                  )}
                </td>
                <td>{duration(Date.parse(data.now) - Date.parse(client.since))}</td>
                <td>
                  {client.subscriptions.length === 0 && <span class="muted">none</span>}
                  {client.subscriptions.slice(0, 8).map((subscription, index) => (
                    <div key={index} class="line">
                      <a href={place(['queues', subscription.queue])}>
                        <bdi class="name">{subscription.queue}</bdi>
                      </a>
                      <Credit used={subscription.used} of={subscription.prefetch} />
                    </div>
                  ))}
                  {client.subscriptions.length > 8 && (
                    <span class="muted">and {count(client.subscriptions.length - 8)} more</span>
                  )}
                </td>
                <td class="number">
                  <button type="button" class="quiet" onClick={cut(client)}>
                    Cut…<span class="hidden"> connection {client.id}</span>
                  </button>
                </td>
              </tr>
            ))}
          </Table>
          <Pager at={at} {...data} what="client" />
        </>
      )}
    </>
  )
}

function cut({ id, name, subscriptions }: Client): () => void {
  const held = subscriptions.reduce((sum, { used }) => sum + used, 0)
  return () =>
    confirm({
      title: `Cut the connection of "${name}"?`,
      text: `${lost(held)} that it has in flight are ready again at once. A client that is still there connects again.`,
      button: 'Cut it',
      act: async () => {
        await ask('DELETE', path(['connections', id]))
        return `The connection of ${name} is cut`
      },
    })
}
