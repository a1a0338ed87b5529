import type { Result, Results } from './results.ts'

const WIDTH = 760
const NAME_WIDTH = 150
const VALUE_WIDTH = 130
const BAR = 16
const GAP = 6
const GROUP_HEAD = 30
const MARGIN = 12

/** A bar for each system, grouped by workload and size of body; each group has a scale of its own, from zero. */
export function chart({ date, machine, results: measured }: Results): string {
  // At a rate that is given all bars are alike; where nothing else was measured they show at least that it was kept.
  const own = measured.filter(({ workload }) => workload !== 'W4')
  const results = own.length === 0 ? measured : own
  const titles = [...new Set(results.map(title))]
  let y = MARGIN + GROUP_HEAD + 12
  const parts = [
    `<text x="${MARGIN}" y="${MARGIN + 12}" class="note">messages per second, median of the rounds; * not flushed before the confirm</text>`,
    `<text x="${MARGIN}" y="${MARGIN + 28}" class="note">${date.slice(0, 10)}, ${escaped(machine.cpu)}, ${machine.cores} cores</text>`,
  ]
  for (const name of titles) {
    const members = results.filter(result => title(result) === name)
    parts.push(`<text x="${MARGIN}" y="${y + 14}" class="group">${escaped(name)}</text>`)
    y += GROUP_HEAD - GAP
    const most = Math.max(...members.map(rateOf))
    for (const result of members) {
      parts.push(bar(result, y, rateOf(result) / most))
      y += BAR + GAP
    }
    y += GAP * 2
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y}" viewBox="0 0 ${WIDTH} ${y}" role="img">`,
    '<title>Messages per second</title>',
    `<desc>${escaped(description(results))}</desc>`,
    STYLE,
    ...parts,
    '</svg>',
    '',
  ].join('\n')
}

const STYLE = `<style>
text { font: 13px system-ui, sans-serif; fill: #24292f }
.group { font-weight: 600 }
.note { font-size: 12px; fill: #57606a }
rect { fill: #9aa4af }
.ours { fill: #0a7d6c }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .note { fill: #9198a1 } rect { fill: #57606a } .ours { fill: #2dba9f } }
</style>`

function bar(result: Result, y: number, share: number): string {
  const width = Math.max(1, Math.round(share * (WIDTH - NAME_WIDTH - VALUE_WIDTH - 2 * MARGIN)))
  const x = MARGIN + NAME_WIDTH
  const isOurs = result.system === 'sluice'
  return [
    `<text x="${x - 8}" y="${y + 13}" text-anchor="end">${escaped(result.system)}</text>`,
    `<rect x="${x}" y="${y}" width="${width}" height="${BAR}" rx="2"${isOurs ? ' class="ours"' : ''}/>`,
    `<text x="${x + width + 8}" y="${y + 13}">${format(rateOf(result))}${flushes(result) ? '' : ' *'}</text>`,
  ].join('\n')
}

const WHAT: Readonly<Record<string, string>> = {
  W1: 'publish',
  W2: 'drain a backlog',
  W3: 'publish and drain at once',
  W5: '100 queues',
  W6: 'drain a million after a restart',
  W7: 'a job, until it is known to be done',
}

function title({ workload, bodyBytes }: Result): string {
  return `${[workload, WHAT[workload]].filter(Boolean).join(': ')}, ${bodyBytes} B`
}

function rateOf({ messagesPerSecond }: Result): number {
  return messagesPerSecond.median
}

/** The star in the chart: what is confirmed may be lost with the power. */
function flushes({ durability }: Result): boolean {
  return durability.startsWith('flushed before confirm')
}

function description(results: readonly Result[]): string {
  return results.map(result => `${title(result)} ${result.system} ${format(rateOf(result))}/s`).join('; ')
}

function format(rate: number): string {
  return Math.round(rate).toLocaleString('en-US')
}

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, sign => `&#${sign.charCodeAt(0)};`)
}
