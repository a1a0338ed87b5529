import { ask, path } from '../api.ts'
import { confirm } from '../parts/acting.tsx'
import { Table } from '../parts/common.tsx'

/** What each option is for; those that are not here say enough by their name. */
const ABOUT: Readonly<Record<string, string>> = {
  semantics: 'never changes',
  barrier: 'a message that matches is a barrier',
  barriers_max: 'most barriers that wait',
  barrier_records: 'released barriers whose record is kept',
  on_dead: 'what a dead letter does to its batch: count, hold or fail',
  deadline_rest: 'what becomes of the rest of a batch that is ended early',
  forward_barrier: 'queues to which a released barrier goes on',
  announce: 'queue in which a message tells of each released barrier',
  filter: 'only what matches may be published',
  priority: 'an expression, or property',
  group: 'messages of one group go one at a time',
  lease: 'how long a delivery may stay unsettled',
  acks: 'who may settle a delivery: holder, or any',
  prefetch_max: 'most credit of one subscription',
  prefetch_bytes: 'most body bytes out at one subscription',
  unacked_max: 'most messages in flight, of the whole queue',
  fairness: 'who gets the next message',
  deliveries_max: 'attempts before a message is dead-lettered',
  retry_delay: 'wait before a failed message is tried again',
  dead_letter: 'queue of its dead letters, or drop',
  expiration: 'time to live from arrival',
  messages_max: 'most live messages',
  bytes_max: 'most live body bytes',
  overflow: 'what happens at the limit',
  dedupe_window: 'how long message ids are remembered',
  dedupe_max: 'how many message ids are remembered',
}

interface Terms {
  readonly queue: string
  readonly options: Readonly<Record<string, unknown>>
  readonly mayOperate: boolean
}

export function Settings({ queue, options, mayOperate }: Terms) {
  const change = (name: string) => () =>
    confirm({
      title: `Change ${name}`,
      text: `${ABOUT[name] ?? ''}. It counts for "${queue}" at once; messages that are there are not judged anew.`,
      button: 'Change it',
      isHarmless: true,
      input: { label: name, value: text(options[name]), hint: 'as in the configuration file; empty: none' },
      act: async value => {
        await ask('PATCH', path(['queues', queue]), { [name]: read(value) })
        return `${name} is changed`
      },
    })
  return (
    <Table label="Settings" head={['Option', 'Value', 'What it is', ...(mayOperate ? [''] : [])]}>
      {Object.keys(ABOUT).map(name => (
        <tr key={name}>
          <th scope="row">
            <code>{name}</code>
          </th>
          <td>
            <code class={options[name] === undefined || options[name] === 'none' ? 'muted' : ''}>
              {text(options[name]) || 'none'}
            </code>
          </td>
          <td class="muted">{ABOUT[name]}</td>
          {mayOperate && (
            <td>
              {name !== 'semantics' && (
                <button type="button" class="quiet" onClick={change(name)}>
                  Change…<span class="hidden"> {name}</span>
                </button>
              )}
            </td>
          )}
        </tr>
      ))}
    </Table>
  )
}

function text(value: unknown): string {
  if (value === undefined || value === null) return ''
  if (Array.isArray(value) && value.length === 0) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** Numbers, lists and objects as JSON; everything else is a text. */
function read(value: string): unknown {
  const trimmed = value.trim()
  if (!/^(?:[[{]|-?\d+$)/.test(trimmed)) return trimmed === '' ? 'none' : trimmed
  try {
    return JSON.parse(trimmed)
  } catch {
    return trimmed
  }
}
