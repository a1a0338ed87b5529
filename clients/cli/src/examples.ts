/** Examples of commands that have none beside them, by their names below `sluice`. */
export const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  'queue list': ['sluice queue list', "sluice queue list --json | jq '.[] | select(.ready > 1000) | .name'"],
  'queue show': ['sluice queue show sales'],
  'queue purge': ['sluice queue purge sales', 'sluice queue purge sales --leased --yes'],
  'queue pause': ['sluice queue pause sales && ./repair-database && sluice queue resume sales'],
  'queue resume': ['sluice queue resume sales'],
  'queue peek': [
    'sluice queue peek sales --state delayed',
    "sluice queue peek sales --filter '/store = 17' --limit 5 --json",
  ],
  'queue delete': ['sluice queue delete sales', 'sluice queue delete sales --yes'],
  'barrier list': ['sluice barrier list sales --state waiting'],
  'barrier show': ['sluice barrier show sales eof-2026-11-20', 'sluice barrier show sales @1204332 --json'],
  'barrier holdouts': ['sluice barrier holdouts sales eof-2026-11-20 --limit 10'],
  'barrier cancel': ['sluice barrier cancel sales eof-2026-11-20 --rest dead-letter'],
  'barrier extend': ['sluice barrier extend sales eof-2026-11-20 --deadline 2h'],
  'dead list': ['sluice dead list sales --batch eof-2026-11-20'],
  'dead show': ['sluice dead show sales 17'],
  'dead requeue': [
    "sluice dead requeue sales --filter '/store = 17'",
    'sluice dead requeue sales --batch eof-2026-11-20',
  ],
  'dead purge': ["sluice dead purge sales --filter '/store = 17' --yes"],
  filter: ["sluice filter test '/amount > 1000' --queue sales"],
  'token list': ['sluice token list'],
  'token revoke': ['sluice token revoke loader --yes'],
}
