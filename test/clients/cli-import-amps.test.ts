import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { parse } from 'smol-toml'
import { afterAll, describe, expect, test } from 'vitest'
import { readConfiguration } from '../../clients/cli/src/import-amps/configuration.ts'
import { FUNCTIONS } from '../../clients/cli/src/import-amps/expressions.ts'
import { readInterval } from '../../clients/cli/src/import-amps/interval.ts'
import { tomlOf } from '../../clients/cli/src/import-amps/report.ts'
import { translate } from '../../clients/cli/src/import-amps/translation.ts'
import { run } from '../../clients/cli/src/index.ts'
import { readOptions } from '../../src/core/declaring.ts'
import { FUNCTIONS as FILTER_FUNCTIONS } from '../../src/filters/functions.ts'
import { startServer } from './cli-support.ts'

const folder = mkdtempSync(join(tmpdir(), 'sluice-amps-'))
afterAll(() => rmSync(folder, { recursive: true }))
let files = 0

function fileOf(content: string | Uint8Array): string {
  const path = join(folder, `${++files}.xml`)
  writeFileSync(path, content)
  return path
}

async function importAmps(...argv: string[]): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  const [stdin, stdout, stderr] = [new PassThrough(), new PassThrough(), new PassThrough()]
  const exitCode = await run(['server', 'import-amps', ...argv], { stdin, stdout, stderr, env: {} })
  return { exitCode, stdout: String(stdout.read() ?? ''), stderr: String(stderr.read() ?? '') }
}

/** A queue of these elements, as the one queue of a file. */
function queueXml(elements: Readonly<Record<string, string>>, kind = 'LocalQueue'): string {
  const children = Object.entries({ Name: 'Q', MessageType: 'json', ...elements })
    .map(([name, value]) => `<${name}>${value}</${name}>`)
    .join('\n')
  return `<AMPSConfig><SOW><${kind}>${children}</${kind}></SOW></AMPSConfig>`
}

/** What becomes of the elements: `Element: taken, options, why`. */
function remarksOf(elements: Readonly<Record<string, string>>, kind?: string): string[] {
  const [translation] = translate(readConfiguration(queueXml(elements, kind)).queues)
  return translation!.remarks
    .filter(({ element, isAbsent }) => !isAbsent && (element in elements || element === kind))
    .map(({ element, taken, options, why }) =>
      [`${element}: ${taken}`, ...Object.entries(options ?? {}).map(pair => pair.join(' = ')), why]
        .filter(Boolean)
        .join(', '),
    )
}

/** The queues of the TOML that is written, read by the parser that the server uses. */
function queuesOf(xml: string): Record<string, unknown>[] {
  const { queues, otherParts } = readConfiguration(xml)
  return (parse(tomlOf('amps.xml', translate(queues), otherParts)) as { queue?: Record<string, unknown>[] }).queue ?? []
}

const NIGHTLY = `<?xml version="1.0" encoding="UTF-8"?>
<AMPSConfig>
  <Name>night</Name>
  <Transports><Transport><Name>any</Name></Transport></Transports>
  <SOW>
    <Topic><Name>STORES</Name><MessageType>json</MessageType><Key>/id</Key></Topic>
    <!-- the night -->
    <Queue>
      <Name>NIGHTLY_SALES_DATA</Name>
      <MessageType>json</MessageType>
      <BarrierExpression>/is_eof = 1</BarrierExpression>
      <LeasePeriod>60s</LeasePeriod>
      <Expiration>24h</Expiration>
      <MaxDeliveries>5</MaxDeliveries>
      <MaxPerSubscriptionBacklog>100</MaxPerSubscriptionBacklog>
    </Queue>
    <LocalQueue>
      <Topic>WORK &amp; PLAY</Topic>
      <MessageType>json</MessageType>
      <UnderlyingTopic>^ORDERS/.*</UnderlyingTopic>
      <DefaultPublishTarget>ORDERS/DIRECT</DefaultPublishTarget>
      <Semantics>at-most-once</Semantics>
      <MaxBacklog>1000</MaxBacklog>
      <Filter><![CDATA[/amount > 5 AND /note LIKE "a\\"b"]]></Filter>
      <RecoveryPoint>epoch</RecoveryPoint>
    </LocalQueue>
  </SOW>
</AMPSConfig>
`

describe('server import-amps', () => {
  test('writes what the server reads, and says of each element what became of it', async () => {
    const output = join(folder, 'sluice.toml')
    const { exitCode, stdout, stderr } = await importAmps(fileOf(NIGHTLY), '--output', output)
    expect({ exitCode, stdout }).toEqual({ exitCode: 0, stdout: '' })
    const toml = readFileSync(output, 'utf8')
    const { queue } = parse(toml) as { queue: Record<string, unknown>[] }
    expect(queue).toEqual([
      {
        name: 'NIGHTLY_SALES_DATA',
        barrier: '/is_eof = 1',
        lease: '1m',
        expiration: '1d',
        deliveries_max: 5,
        prefetch_max: 100,
        acks: 'any',
      },
      {
        name: 'WORK & PLAY',
        semantics: 'at-most-once',
        unacked_max: 1000,
        filter: '/amount > 5 AND /note LIKE "a\\"b"',
        prefetch_max: 1,
        fairness: 'round-robin',
      },
    ])
    expect(toml).toContain('# Not read: Name, Transports, SOW/Topic.\n')
    expect(toml).toContain('# exactly: <LeasePeriod>60s</LeasePeriod>\nlease = "1m"\n')
    expect(toml).toContain('# not taken over: <UnderlyingTopic>^ORDERS/.*</UnderlyingTopic>: there are no topics here')
    expect(stderr).toContain('NIGHTLY_SALES_DATA   <Queue>, line 8')
    expect(stderr).toContain(' ✔ exactly         LeasePeriod 60s → lease = "1m"')
    expect(stderr).toContain(' ! approximately   Expiration 24h → expiration = "1d": of the queue')
    expect(stderr).toContain(' ✖ not             RecoveryPoint epoch: a queue begins empty here')
    expect(stderr).toContain('2 of 2 queues taken over')
  })

  test('every option it writes is one of a queue, with a value that is taken', () => {
    const everything = queuesOf(NIGHTLY).concat(
      queuesOf(
        queueXml({
          FairnessModel: 'fast',
          Leasing: 'strict',
          Priority: '/urgency',
          Filter: '/a = 1',
          LeasePeriod: '3w',
        }),
      ),
    )
    for (const { name: _, ...options } of everything) expect(readOptions(options)).not.toHaveProperty('code')
  })

  test('a server starts with it, and has the queues', async () => {
    const output = join(folder, 'started.toml')
    await importAmps(fileOf(NIGHTLY), '--output', output)
    await using server = await startServer({ config: output })
    const { stdout } = await server.run(['queue', 'list', '--json'])
    const options = JSON.parse(stdout).map(({ name, options }: { name: string; options: object }) => ({
      name,
      ...options,
    }))
    expect(options).toMatchObject([
      { name: 'NIGHTLY_SALES_DATA', barrier: '/is_eof = 1', lease: '1m', deliveries_max: 5, acks: 'any' },
      { name: 'WORK & PLAY', semantics: 'at-most-once', unacked_max: 1000, fairness: 'round-robin' },
    ])
  })

  test('a file that is there is asked for, and a folder that is not there is said', async () => {
    const output = fileOf('somebody’s work')
    const refused = await importAmps(fileOf(NIGHTLY), '--output', output)
    expect(refused.exitCode).toBe(2)
    expect(refused.stderr).toContain('--yes')
    expect(readFileSync(output, 'utf8')).toBe('somebody’s work')
    expect((await importAmps(fileOf(NIGHTLY), '--output', output, '--yes')).exitCode).toBe(0)
    expect((await importAmps(fileOf(NIGHTLY), '--output', '/no/such/folder/f.toml')).exitCode).toBe(2)
  })

  test('--json gives one document with the remarks and the TOML', async () => {
    const { stdout } = await importAmps(fileOf(NIGHTLY), '--json')
    const { queues, not_read, toml } = JSON.parse(stdout)
    expect(queues[0].remarks).toContainEqual({
      element: 'LeasePeriod',
      value: '60s',
      line: 12,
      taken: 'exactly',
      options: { lease: '1m' },
    })
    expect(not_read).toEqual(['Name', 'Transports', 'SOW/Topic'])
    expect(toml).toContain('[[queue]]')
  })
})

describe('each element', () => {
  test.each<[Record<string, string>, string[]]>([
    [{ LeasePeriod: '30s' }, ['LeasePeriod: exactly, lease = 30s']],
    [{ MaxBacklog: '0' }, ['MaxBacklog: not, it is no whole number from 1']],
    [{ MaxDeliveries: '0', MaxCancels: '0' }, ['MaxDeliveries: exactly', 'MaxCancels: exactly']],
    [{ FairnessModel: 'fast' }, ['FairnessModel: exactly, fairness = fast']],
    [{ FairnessModel: 'random' }, ['FairnessModel: not, it is not fast or round-robin or proportional']],
    [{ Leasing: 'sublet' }, ['Leasing: exactly, acks = any']],
    [
      { UnderlyingTopic: 'Q', DefaultPublishTarget: 'Q' },
      ['UnderlyingTopic: exactly', 'DefaultPublishTarget: exactly'],
    ],
    [{ BarrierExpression: '/eof = 1' }, ['BarrierExpression: exactly, barrier = /eof = 1']],
    [
      { Expiration: '1h', ExpirationModel: 'queue' },
      [
        'Expiration: approximately',
        'ExpirationModel: not, the shorter one of queue and message wins here ("earliest")',
      ],
    ],
    [
      { Semantics: 'at-most-once', LeasePeriod: '5s', Leasing: 'strict', MaxDeliveries: '3', FairnessModel: 'fast' },
      [
        'Semantics: exactly, semantics = at-most-once',
        'LeasePeriod: not, an at-most-once queue has no leases',
        'Leasing: not, an at-most-once queue has no leases',
        'MaxDeliveries: not, an at-most-once queue delivers once',
        'FairnessModel: not, AMPS has only round-robin for at-most-once',
      ],
    ],
    [{ MaxCancels: '3' }, ['MaxCancels: approximately, deliveries_max = 3, a cancel is a nack here']],
    [
      { MaxDeliveries: '2', MaxCancels: '3' },
      ['MaxDeliveries: approximately, deliveries_max = 2', 'MaxCancels: exactly, MaxDeliveries is reached first'],
    ],
    [
      { MaxDeliveries: '9', MaxCancels: '3' },
      ['MaxDeliveries: approximately, deliveries_max = 9', 'MaxCancels: not, nacks are not counted apart'],
    ],
    [
      { MaxPerSubscriptionBacklog: '100000' },
      ['MaxPerSubscriptionBacklog: approximately, prefetch_max = 65535, 65535 is the most here'],
    ],
    [{ Filter: 'GEO_DISTANCE(/a, /b) &lt; 5' }, ['Filter: not, there is no function GEO_DISTANCE here']],
    [{ Filter: "/text = 'CALL(ME)' AND (/a IN (1, 2))" }, ['Filter: approximately, filter = ']],
    [{ Priority: 'IF(/a = 1, 2, 3)' }, ['Priority: approximately, priority = IF(/a = 1, 2, 3)']],
    [
      { BarrierExpression: "TOPIC_NAME() = 'eof'" },
      ["BarrierExpression: approximately, barrier = TOPIC_NAME() = 'eof', TOPIC_NAME is of the queue here"],
    ],
    [
      { MessageType: 'fix', BarrierExpression: '/35 = 8' },
      ['MessageType: approximately', 'BarrierExpression: not, expressions read JSON here, and this is fix'],
    ],
    [{ LeasePeriod: '$' + '{LEASE}' }, ['LeasePeriod: not, variables of the environment are not put in']],
    [{ LeaseTimeout: '5s' }, ['LeaseTimeout: not, it is no element of a queue that is known']],
    [{ TargetQueueDepth: '1000' }, ['TargetQueueDepth: not']],
  ])('%j', (elements, expected) => {
    const remarks = remarksOf(elements)
    expect(remarks).toHaveLength(expected.length)
    for (const [index, begin] of expected.entries()) expect(remarks[index]).toContain(begin)
  })

  test.each(['Queue', 'QueueDefinition', 'GroupLocalQueue'])('<%s> is not replicated here', kind => {
    expect(remarksOf({}, kind)).toEqual([`${kind}: approximately, the queue is on one server and is not replicated`])
  })

  test('one that is given twice counts once', () => {
    const [queue] = queuesOf(
      '<SOW><Queue><Name>A</Name><Topic>B</Topic><MaxBacklog>1</MaxBacklog><MaxBacklog>2</MaxBacklog></Queue></SOW>',
    )
    expect(queue).toMatchObject({ name: 'A', unacked_max: 1 })
  })

  test('intervals have the units of AMPS, in either case, and become whole milliseconds', () => {
    const texts = ['500ms', '30S', '90m', '1.5h', '7d', '2w', '1500 us', '1ns', '60']
    expect(texts.map(text => (readInterval(text) as { duration: string }).duration)).toEqual([
      '500ms',
      '30s',
      '90m',
      '90m',
      '7d',
      '14d',
      '2ms',
      '1ms',
      '1m',
    ])
    expect(readInterval('60')).toMatchObject({ why: expect.stringContaining('read as seconds') })
    expect(readInterval('1500us')).toMatchObject({ why: expect.stringContaining('rounded up') })
    for (const text of ['', 'soon', '-1s', '1y', '0s', '0', '1e3s', '99999999d'])
      expect(readInterval(text)).toBeTypeOf('string')
  })

  test('the functions it lets pass are those that filters have', () => {
    expect([...FUNCTIONS].sort()).toEqual(
      [...FILTER_FUNCTIONS.keys(), 'IF'].filter((name, at, all) => all.indexOf(name) === at).sort(),
    )
  })
})

describe('queues that cannot be taken over', () => {
  test.each([
    ['no name', '<Queue><MessageType>json</MessageType></Queue>', 'a queue needs a name'],
    ['a variable', '<Queue><Name>$' + '{ENV}_SALES</Name></Queue>', 'variables of the environment'],
    ['a name that none may have', '<Queue><Name>$SYS</Name></Queue>', 'does not begin with'],
    ['a name taken', '<Queue><Name>Q</Name></Queue>', 'there is a queue of this name already'],
  ])('%s: the others are, and it is said', (_, bad, why) => {
    const xml = `<AMPSConfig><SOW><Queue><Name>Q</Name></Queue>${bad}</SOW></AMPSConfig>`
    const translations = translate(readConfiguration(xml).queues)
    expect(translations[1]!.options).toBeUndefined()
    expect(translations[1]!.remarks[0]!.why).toContain(why)
    expect(queuesOf(xml).map(({ name }) => name)).toEqual(['Q'])
  })
})

describe('files that are no configuration', () => {
  const secret = 'a secret of this machine'

  test.each<[string, string, string]>([
    [
      'an external entity',
      `<!DOCTYPE c [<!ENTITY x SYSTEM "file://FILE">]><c><SOW><Queue><Name>&x;</Name></Queue></SOW></c>`,
      'document type',
    ],
    ['an external DTD', '<!DOCTYPE c SYSTEM "http://127.0.0.1:9/c.dtd"><c><SOW/></c>', 'document type'],
    ['a parameter entity', `<!DOCTYPE c [<!ENTITY % x SYSTEM "file://FILE"> %x;]><c/>`, 'document type'],
    ['entities that grow', `<!DOCTYPE c [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><c>&b;</c>`, 'document type'],
    ['an entity of nobody', '<c>&x;</c>', '&x; is not defined'],
    ['elements that do not close', '<AMPSConfig>\n<SOW>\n<Queue></SOW></AMPSConfig>', 'line 3, column'],
    ['two roots', '<a/><b/>', 'well-formed'],
    ['nothing', '', 'well-formed'],
    ['TOML', 'data = "x"', 'well-formed'],
    ['a control character', '<a>\u0001</a>', 'well-formed'],
    ['no queue', '<AMPSConfig><SOW/></AMPSConfig>', 'There is no <Queue>'],
    ['very deep elements', '<a>'.repeat(200_000), ''],
  ])('%s: exit code 4, and nothing is written', async (_, xml, sentence) => {
    const { exitCode, stdout, stderr } = await importAmps(fileOf(xml.replace('FILE', fileOf(secret))))
    expect({ exitCode, stdout }).toEqual({ exitCode: 4, stdout: '' })
    expect(stderr).toContain(sentence)
    expect(stderr).not.toContain(secret)
  })

  test('what is no text is refused; what is not there, or a folder, is a mistake', async () => {
    const notText = await importAmps(fileOf(Uint8Array.of(0x3c, 0xff, 0xfe)))
    expect(notText.exitCode).toBe(4)
    expect(notText.stderr).toContain('no UTF-8 text')
    expect((await importAmps('/no/such.xml')).exitCode).toBe(2)
    expect((await importAmps(folder)).exitCode).toBe(2)
  })
})

test('files that are included are not read, and that is said', async () => {
  const xml = '<AMPSConfig><SOW><Include>queues.xml</Include><Queue><Name>Q</Name></Queue></SOW></AMPSConfig>'
  const { stderr } = await importAmps(fileOf(xml))
  expect(stderr).toContain('Not read: SOW/Include.')
  expect(stderr).toContain('import each of them')
})

test('nothing in a file steps out of a text or a comment of the TOML, or drives the terminal', async () => {
  const value = 'x"\\\n[[queue]]\nname = \'evil\'\u0085\u2028lease = "1s" #'
  const escaped = value.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  const elements = {
    Filter: escaped,
    UnderlyingTopic: escaped,
    'Odd.Element-1': escaped,
    Semantics: `${escaped}&#x9b;31m`,
  }
  const queues = queuesOf(queueXml(elements))
  expect(queues).toEqual([{ name: 'Q', filter: value, prefetch_max: 1, acks: 'any' }])
  const { stderr } = await importAmps(fileOf(queueXml(elements)))
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  expect(stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
})
