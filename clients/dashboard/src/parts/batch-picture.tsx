import { clock, count, counted, duration, percent, rate } from '../format.ts'
import type { Progress } from '../shapes.ts'
import { Bar, Gate, Legend } from './bar.tsx'
import { useNow } from './now.ts'

interface Terms {
  readonly progress: Progress
  readonly gate: 'closed' | 'open' | 'absent'
  /** Messages of later batches. */
  readonly behind: number
  readonly now: string
}

/** The batch, its gate, and what stands behind it. */
export function BatchPicture({ progress, gate, behind, now }: Terms) {
  const done = progress.acked + progress.dead
  return (
    <div class="picture">
      <div class="water">
        <Bar progress={progress} />
        <Gate state={gate} />
        <div class={behind > 0 ? 'behind some' : 'behind'}>
          {behind > 0 ? (
            <>
              <b>{count(behind)}</b> held behind it
            </>
          ) : gate === 'open' ? (
            'open'
          ) : (
            'nothing behind it'
          )}
        </div>
      </div>
      <Legend progress={progress} />
      {gate !== 'open' && (
        <p class="pace">
          <b>{percent(done, progress.published)}</b> settled
          {progress.rate_per_second === undefined ? (
            progress.published > done ? (
              <span> · nothing settled in the last 10 s</span>
            ) : null
          ) : (
            <>
              {' · '}
              <b>{rate(progress.rate_per_second)}</b>/s
              <Eta progress={progress} now={now} />
            </>
          )}
        </p>
      )}
    </div>
  )
}

function Eta({ progress, now }: { readonly progress: Progress; readonly now: string }) {
  const at = useNow(now)
  if (progress.eta_ms === undefined || progress.eta_ms <= 0) return null
  const end = Date.parse(now) + progress.eta_ms
  return (
    <>
      {' · '}at this rate done in <b>{duration(Math.max(0, end - at))}</b> ({clock(end, at)})
    </>
  )
}

/** What the parties of a barrier say. */
export function Parties({ count: all, arrived }: { readonly count: number; readonly arrived: number }) {
  return (
    <p>
      <b>{count(arrived)}</b> of {counted(all, 'party', 'parties')} arrived
    </p>
  )
}
