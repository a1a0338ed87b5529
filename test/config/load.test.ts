import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { ConfigError, queueConfigError } from '../../src/config/config.ts'
import { readServeFlags, UsageError } from '../../src/config/flags.ts'
import { type ConfigSources, loadConfig } from '../../src/config/load.ts'
import { processorTime } from '../support/processor.ts'

/** A file in a folder of its own; its name in errors is then shown as `sluice.toml`. */
function file(toml: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-config-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'sluice.toml')
  writeFileSync(path, toml)
  return path
}

/** What is wrong, with the folder taken away. */
function problems(sources: ConfigSources): readonly string[] {
  try {
    loadConfig(sources)
  } catch (error) {
    if (error instanceof ConfigError)
      return error.problems.map(line => line.replace(/\S*\/sluice\.toml/g, 'sluice.toml'))
    throw error
  }
  return []
}

test('no file is needed', () => {
  expect(loadConfig({})).toEqual({
    config: {
      data: './sluice-data',
      memory: false,
      listen: { host: '127.0.0.1', port: 7420 },
      auth: 'none',
      allowUnauthenticatedNetwork: false,
      messageMax: 16 * 2 ** 20,
      memoryMax: 256 * 2 ** 20,
      autoCreate: false,
      heartbeatMs: 20_000,
      drainMs: 10_000,
      connectionsMax: 10_000,
      connectionsPerAddress: 1_000,
      queuesMax: 10_000,
      pullsMax: 10_000,
      streamsMax: 1_000,
      metricsQueuesMax: 200,
      tracing: 'auto',
      queues: [],
    },
    origins: {
      data: 'default',
      memory: 'default',
      listen: 'default',
      tls_cert: 'default',
      tls_key: 'default',
      tls_client_ca: 'default',
      tls_client_crl: 'default',
      hosts: 'default',
      origins: 'default',
      auth: 'default',
      allow_unauthenticated_network: 'default',
      message_max: 'default',
      memory_max: 'default',
      disk_free_min: 'default',
      auto_create: 'default',
      heartbeat: 'default',
      drain: 'default',
      connections_max: 'default',
      connections_per_address: 'default',
      queues_max: 'default',
      pulls_max: 'default',
      publish_rate: 'default',
      publish_bytes_rate: 'default',
      send_buffers_max: 'default',
      streams_max: 'default',
      metrics_queues_max: 'default',
      tracing: 'default',
    },
  })
})

test('flags beat the environment, which beats the file, which beats the default; each value knows where it is from', () => {
  const path = file('data = "file"\nlisten = "[::1]:1"\nheartbeat = "30s"\nmessage_max = "1MiB"\n')
  const environment = { SLUICE_DATA: 'environment', SLUICE_LISTEN: 'localhost:2', SLUICE_HEARTBEAT: '' }
  const { config, origins } = loadConfig({ file: path, environment, flags: { data: 'flag', listen: undefined } })
  expect(config).toMatchObject({
    data: 'flag',
    listen: { host: 'localhost', port: 2 },
    heartbeatMs: 30_000,
    drainMs: 10_000,
    messageMax: 2 ** 20,
  })
  expect(origins).toMatchObject({
    data: '--data',
    listen: 'SLUICE_LISTEN',
    heartbeat: `${path}:3:1`,
    message_max: `${path}:4:1`,
    memory_max: 'default',
  })
})

test('a variable is text and still becomes what the setting is', () => {
  const environment = {
    SLUICE_MEMORY: 'true',
    SLUICE_AUTO_CREATE: 'false',
    SLUICE_CONNECTIONS_MAX: '50',
    SLUICE_DISK_FREE_MIN: '1GiB',
    SLUICE_MEMORY_MAX: '1048576',
    SLUICE_HOSTS: 'a.example, b.example',
    SLUICE_PORT: 'tcp://10.0.0.1:7420',
    SLUICE_URL: 'ws://elsewhere',
  }
  expect(loadConfig({ environment }).config).toMatchObject({
    memory: true,
    autoCreate: false,
    connectionsMax: 50,
    diskFreeMin: 2 ** 30,
    memoryMax: 2 ** 20,
    hosts: ['a.example', 'b.example'],
  })
})

test('a queue table is passed on as it is, and knows where each option stands', () => {
  const path = file(
    [
      '# sales',
      '[[queue]]',
      'name        = "NIGHTLY_SALES_DATA"',
      'barrier     = "/is_eof = 1"  # [[queue]]',
      '  lease     = "60s"',
      'retry_delay = { base = "1s", factor = 2 }',
      '[[ queue ]]',
      'filter = """',
      'a = [1] # not a comment',
      '"""',
      'group = """/a = "x""""',
      'name="B"',
      '[queue.retry_delay]',
      'base = "2s"',
    ].join('\n'),
  )
  expect(loadConfig({ file: path }).config.queues).toEqual([
    {
      name: 'NIGHTLY_SALES_DATA',
      options: { barrier: '/is_eof = 1', lease: '60s', retry_delay: { base: '1s', factor: 2 } },
      place: `${path}:2:1`,
      places: { barrier: `${path}:4:1`, lease: `${path}:5:3`, retry_delay: `${path}:6:1` },
    },
    {
      name: 'B',
      options: { filter: 'a = [1] # not a comment\n', group: '/a = "x"', retry_delay: { base: '2s' } },
      place: `${path}:7:1`,
      places: { filter: `${path}:8:1`, group: `${path}:11:1`, retry_delay: `${path}:13:1` },
    },
  ])
})

test('what the engine refuses in a queue is told at the line of the option', () => {
  const path = file('[[queue]]\nname = "Q"\nlease = "60 s"\n')
  const [queue] = loadConfig({ file: path }).config.queues
  const refusal = { detail: '"60 s" is not a duration', facts: { option: 'lease' } }
  expect(queueConfigError(queue!, refusal).message).toBe(`${path}:3:1: queue "Q": "60 s" is not a duration`)
  expect(queueConfigError(queue!, { detail: 'no' }).message).toBe(`${path}:1:1: queue "Q": no`)
})

test.each([
  ['leese = "60s"\n[[queue]]\nname = "Q"', ['sluice.toml:1:1: unknown setting "leese"']],
  ['[[queue]]\nname = "Q"\n\n\n\n\nleese = "60s"', ['sluice.toml:7:1: unknown option "leese" (did you mean "lease"?)']],
  ['[[queue]]\nname = "Q"\nleaes = 5', ['sluice.toml:3:1: unknown option "leaes" (did you mean "lease"?)']],
  ['[[queue]]\nname = "Q"\nmax_deliveries = 5', ['sluice.toml:3:1: unknown option "max_deliveries"']],
  [
    '[[queue]]\nname = "Q"\ndeliverie_max = 5',
    ['sluice.toml:3:1: unknown option "deliverie_max" (did you mean "deliveries_max"?)'],
  ],
  [
    '[[queue]]\nname = "Q"\ndead-letter = "D"',
    ['sluice.toml:3:1: unknown option "dead-letter" (did you mean "dead_letter"?)'],
  ],
  // A key in quotes stands where its quotes begin.
  ['memory = true\n"liste" = 1', ['sluice.toml:2:1: unknown setting "liste" (did you mean "listen"?)']],
  ["[[queue]]\nname = 'Q'\n 'leese' = 1", ['sluice.toml:3:2: unknown option "leese" (did you mean "lease"?)']],
  ['liste = "127.0.0.1:1"', ['sluice.toml:1:1: unknown setting "liste" (did you mean "listen"?)']],
  ['[queue]\nname = "Q"', ['sluice.toml:1:1: a queue is declared by a table of its own, headed [[queue]]']],
  ['queue = ["Q"]', ['sluice.toml:1:1: a queue is declared by a table of its own, headed [[queue]]']],
  ['\n[[queue]]\nlease = "60s"', ['sluice.toml:2:1: a queue needs a name']],
  ['[[queue]]\nname = 5', ['sluice.toml:2:1: name: must be a text']],
  [
    '[[queue]]\nname = "Q"\n[[queue]]\nname = "Q"',
    ['sluice.toml:3:1: queue "Q" is declared at sluice.toml:1:1 already'],
  ],
  ['queue = [{ name = "Q", leese = 1 }]', ['sluice.toml:1:1: unknown option "leese" (did you mean "lease"?)']],
  ['listen = "7420"', ['sluice.toml:1:1: listen: must be HOST:PORT, such as 127.0.0.1:7420 or [::1]:7420']],
  ['listen = "localhost:70000"', ['sluice.toml:1:1: listen: must be HOST:PORT, such as 127.0.0.1:7420 or [::1]:7420']],
  ['memory = "true"', ['sluice.toml:1:1: memory: must be true or false']],
  ['\n  message_max = "1MB"', ['sluice.toml:2:3: message_max: "1MB" is not a size: write bytes, 64KiB, 1MiB or 2GiB']],
  ['message_max = "1GiB"', ['sluice.toml:1:1: message_max: must be from 1KiB to 256MiB']],
  ['heartbeat = 30', ['sluice.toml:1:1: heartbeat: must be from 5s to 120s']],
  [
    'heartbeat = 2026-11-20',
    ['sluice.toml:1:1: heartbeat: "2026-11-20" is not a duration: write 500ms, 30s, 5m, 24h or 7d'],
  ],
  [
    'data = ""\nconnections_max = 0',
    ['sluice.toml:1:1: data: must be a text', 'sluice.toml:2:1: connections_max: must be a number from 1'],
  ],
])('a mistake in the file is told with line and column: %j', (toml, expected) => {
  expect(problems({ file: file(toml) })).toEqual(expected)
})

test.each([
  ['data = "a', 1],
  ['data = "a"\nlisten 5', 2],
  ['data = 1\ndata = 2', 2],
  ['__proto__ = 1', 1],
  [`data = ${'['.repeat(50)}`, 1],
])('a file that is no TOML is told with its line: %j', (toml, line) => {
  const found = problems({ file: file(toml) })
  expect(found).toHaveLength(1)
  expect(found[0]).toMatch(new RegExp(`^sluice\\.toml:${line}:\\d+: \\S`))
})

test('mistakes in variables and flags are told by their name', () => {
  expect(problems({ environment: { SLUICE_LISTEN: 'here', SLUICE_MEMORY: '1' } })).toEqual([
    'SLUICE_MEMORY: must be true or false',
    'SLUICE_LISTEN: must be HOST:PORT, such as 127.0.0.1:7420 or [::1]:7420',
  ])
  expect(problems({ flags: { listen: ':1' } })).toEqual([
    '--listen: must be HOST:PORT, such as 127.0.0.1:7420 or [::1]:7420',
  ])
})

test('a file that is not there is told by its name', () => {
  expect(problems({ file: '/nowhere/sluice.toml' })[0]).toMatch(/^cannot read sluice.toml: ENOENT/)
})

test('the flags of serve are read, and SLUICE_CONFIG stands for --config', () => {
  const environment = { SLUICE_CONFIG: 'from-environment.toml' }
  expect(readServeFlags(['--config', 'f.toml', '--data=d', '--listen', 'h:1', '--memory'], environment)).toEqual({
    file: 'f.toml',
    flags: { data: 'd', listen: 'h:1', memory: true },
    environment,
  })
  expect(readServeFlags([], environment)).toEqual({ file: 'from-environment.toml', flags: {}, environment })
  expect(readServeFlags([], { SLUICE_CONFIG: '' })).not.toHaveProperty('file')
  expect(readServeFlags(['--help'], {})).toBe('help')
})

test.each([['--leese'], ['extra'], ['--data'], ['--memory=yes']])(
  'a command line that cannot be is a usage error: %s',
  flag => {
    expect(() => readServeFlags([flag], {})).toThrow(UsageError)
  },
)

test.each<[string, readonly string[]]>([
  ['tls_cert = "a.pem"', ['sluice.toml:1:1: tls_cert: tls_key is missing']],
  ['tls_key = "a.pem"', ['sluice.toml:1:1: tls_key: tls_cert is missing']],
  [
    'tls_client_ca = "a.pem"',
    ['sluice.toml:1:1: tls_client_ca: without tls_cert and tls_key nobody is asked for a certificate'],
  ],
  [
    'tls_cert = "a"\ntls_key = "b"\ntls_client_crl = "c"',
    ['sluice.toml:3:1: tls_client_crl: without tls_client_ca nobody is asked for a certificate'],
  ],
  [
    'message_max = "64MiB"\nsend_buffers_max = "100MiB"',
    ['sluice.toml:2:1: send_buffers_max: must be at least twice message_max'],
  ],
  [
    'origins = ["https://ops.example/"]',
    [
      'sluice.toml:1:1: origins: must be origins, as browsers write it, "https://ops.example", and "https://ops.example/" is none',
    ],
  ],
  [
    'origins = ["null"]',
    ['sluice.toml:1:1: origins: must be origins, such as https://ops.example, and "null" is none'],
  ],
  ['hosts = ["a.example:7420"]', ['sluice.toml:1:1: hosts: must be names without port, and "a.example:7420" is none']],
  ['publish_rate = 0', ['sluice.toml:1:1: publish_rate: must be a number from 1']],
  ['publish_bytes_rate = 1', ['sluice.toml:1:1: publish_bytes_rate: must be from 1KiB to 1TiB']],
])('settings that cannot be, or not together, are told with their place: %s', (toml, expected) => {
  expect(problems({ file: file(toml) })).toEqual(expected)
})

test('settings that come from the environment are told with their variable', () => {
  expect(problems({ environment: { SLUICE_TLS_CERT: 'a.pem' } })).toEqual(['SLUICE_TLS_CERT: tls_key is missing'])
})

test('a key of thousands of parts is refused at once', () => {
  const spent = processorTime()
  expect(problems({ file: file(`${'a.'.repeat(20_000)}a = 1`) })).toEqual([
    expect.stringContaining('unknown setting "a"'),
  ])
  // It took eight seconds when the names of all its prefixes were kept.
  expect(spent()).toBeLessThan(3_000)
})
