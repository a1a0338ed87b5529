import { readFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { FRAME_MESSAGES_MAX } from '@sluice/protocol'
import { Access } from './access/access.ts'
import { makeFirstAdmin } from './access/first-admin.ts'
import { TokenDesk } from './access/token-desk.ts'
import type { ServerConfig } from './config/config.ts'
import { checkExposure } from './config/exposure.ts'
import { applyQueues } from './config/queues.ts'
import { provideQueues } from './config/webhooks.ts'
import { placeOf } from './engine/announcement.ts'
import { type Clock, realClock, virtualClock } from './engine/clock.ts'
import { drain } from './engine/drain.ts'
import { Engine } from './engine/engine.ts'
import { type DiskSpace, Pressure } from './engine/pressure.ts'
import { CommitFigures } from './journal/commit-figures.ts'
import type { Journal, JournalFailure } from './journal/journal.ts'
import { openLmdbJournal } from './journal/lmdb/lmdb-journal.ts'
import { memoryJournal } from './journal/memory.ts'
import { type Dashboard, readDashboard } from './listeners/http/dashboard.ts'
import { createHttpServer } from './listeners/http/listener.ts'
import { attachNative } from './listeners/native/listener.ts'
import { Certificates } from './net/certificates.ts'
import { clientName } from './net/client-name.ts'
import { Entrance, type EntranceRules } from './net/entrance.ts'
import { PublishRates } from './net/publish-rate.ts'
import { SendBuffers } from './net/send-buffers.ts'
import { spaceOf } from './observe/folder.ts'
import { jsonLog, type Log, silentLog } from './observe/log.ts'
import { sparingly } from './observe/sparing.ts'
import { Reporting } from './reporting.ts'
import { startTracing, traceBatch } from './tracing.ts'
import { Backups } from './upkeep/backup.ts'
import { Webhooks } from './webhooks/webhooks.ts'

export type { ServerConfig } from './config/config.ts'

/**
 * Exit code of a process whose disk has failed: nothing was confirmed after it, and a restart is the remedy. One whose
 * disk does not answer ends by SIGKILL instead.
 */
export const EXIT_JOURNAL_FAILED = 74

export interface RunningServer {
  readonly url: string
  /** Reads the certificates again; absent: there is nothing to be read again. Files that cannot be used are logged, and change nothing. */
  reload?(): void
  /** Before `close`: begins nothing new, and gives what is being worked on the time of the setting `drain`. */
  drain(): Promise<void>
  /** Refuses what is new, lets everybody go, writes what was decided, and returns when all of it is done. */
  close(): Promise<void>
}

interface Parts {
  readonly clock?: Clock
  readonly log?: Log
  readonly onFatal?: (reason: JournalFailure) => void
  /** For tests, which have no other addresses than loopback. */
  readonly isLoopback?: EntranceRules['isLoopback']
}

/**
 * Puts one server together and starts it.
 *
 * @throws ConfigError for a queue that cannot be declared as configured, an address that anybody could reach, or traces
 *   that nobody would get; AccessRefused
 *   for a file of tokens that cannot be read; CertificateError; JournalFailure when the data folder cannot be
 *   used (`locked`, `damaged`, `bad-format`, …), the error of the socket when it cannot listen
 */
export async function startServer(config: ServerConfig, parts: Parts = {}): Promise<RunningServer> {
  const log = parts.log ?? jsonLog()
  const clock = parts.clock ?? realClock()
  const isAsking = config.auth === 'tokens'
  if (checkExposure(config, isAsking || config.tlsClientCa !== undefined))
    log.warn('unauthenticated-network', { listen: config.listen.host })
  // Before anything is opened: what is wrong with them needs no data folder to be told.
  const certificates = certificatesOf(config, log)
  const tracing = await startTracing(config.tracing, log)
  const figures = new CommitFigures()
  const journal: Journal = config.memory
    ? memoryJournal({ memoryMax: config.memoryMax, figures })
    : await openLmdbJournal({ folder: config.data, memoryMax: config.memoryMax, figures })
  const pressure = new Pressure(
    clock,
    config.memory ? undefined : () => roomOf(config.data, journal),
    config.diskFreeMin,
  )
  pressure.onChange((on, reason) => log.warn(on ? 'publishing-stopped' : 'publishing-resumed', { reason }))
  const engine = new Engine({
    journal,
    clock,
    messageMax: config.messageMax,
    frameMessagesMax: FRAME_MESSAGES_MAX,
    autoCreate: config.autoCreate,
    queuesMax: config.queuesMax,
    pressure,
    isClosedToStrangers: isAsking,
    onAudit: ({ refused, ...entry }) =>
      refused === undefined ? log.info('operated', entry) : log.warn('not-allowed', entry),
    ...(tracing === undefined ? {} : { onReleased: (queue, record) => traceBatch(tracing, queue, record) }),
    onFatal: parts.onFatal ?? (reason => endProcess(reason, log)),
  })
  let access: Access | undefined
  let reporting: Reporting | undefined
  let forgetAdmin = () => {}
  try {
    await engine.open()
    await pressure.watch()
    if (!config.memory) await warnOfOpenFolder(config.data, log)
    // Only now the folder is there, and nobody else's.
    access = new Access({ clock, log, ...(config.memory ? {} : { file: join(config.data, 'tokens.json') }) })
    if (isAsking) forgetAdmin = makeFirstAdmin(access, config.memory ? undefined : config.data, log)
    access.onRevoked((holder, why) =>
      engine.dismiss(holder, { code: 'unauthenticated', detail: why === 'expired' ? EXPIRED : REVOKED }),
    )
    const doorkeeper = isAsking ? { doorkeeper: access, certificateOf: clientName } : {}
    applyQueues(engine, config.queues, ({ queue, changed, place }) =>
      log.info('queue-updated', { queue, changed: JSON.stringify(changed), place }),
    )
    provideQueues(engine, config.webhooks)
    const version = packageVersion()
    const webhooks = webhooksOf(config, { engine, clock, log, version })
    const sendBuffers = new SendBuffers(sendBuffersMaxOf(config))
    const rates = ratesOf(config)
    const storedBytesOf = (token: string) => engine.broker.stored.of(token)
    const tokens = new TokenDesk({ access, log, isOpen: !isAsking, storedBytesOf })
    reporting = new Reporting({
      engine,
      journal,
      commits: figures,
      version,
      folder: config.memory ? undefined : config.data,
      queuesMax: config.metricsQueuesMax,
      limits: limitsOf(config),
      webhooks: () => webhooks.counts,
      fullestQuota: () => tokens.fullestQuota,
    })
    const http = createHttpServer(engine, {
      version,
      tokens,
      backups: new Backups({
        data: config.memory ? undefined : config.data,
        journal,
        log,
        version,
        isOpen: !isAsking,
        now: () => clock.now(),
        ...(config.diskFreeMin === undefined ? {} : { freeMin: config.diskFreeMin }),
      }),
      dashboard: builtDashboard(),
      ...doorkeeper,
      entrance: entranceOf(config, parts),
      pullsMax: config.pullsMax,
      sendBuffers,
      onRefused: sparingly(({ address, limit }, untold) =>
        log.warn('connection-refused', { address, limit, ...(untold > 0 && { untold }) }),
      ),
      onHandshakeFailed: sparingly(({ address, reason }, untold) =>
        log.warn('tls-handshake-failed', { address, reason, ...(untold > 0 && { untold }) }),
      ),
      ...(certificates === undefined ? {} : { certificates }),
      ...(rates === undefined ? {} : { rates }),
      reporting,
      ...(tracing === undefined ? {} : { tracing }),
      streamsMax: config.streamsMax,
      onBug: error => log.error('bug', { stack: error instanceof Error ? error.stack : String(error) }),
      ...(config.hosts === undefined ? {} : { hosts: config.hosts }),
    })
    const native = attachNative(http.server, engine, {
      serverName: `sluice/${version}`,
      ...doorkeeper,
      connectionsMax: config.connectionsMax,
      heartbeatMs: config.heartbeatMs,
      sendBuffers,
      ...(rates === undefined ? {} : { rates }),
      ...(config.hosts === undefined ? {} : { hosts: config.hosts }),
      ...(config.origins === undefined ? {} : { origins: config.origins }),
    })
    certificates?.watch()
    const url = await http.listen(config.listen)
    webhooks.start()
    log.info('ready', { url, data: config.memory ? undefined : config.data, start: engine.start })
    return {
      url,
      ...(certificates === undefined ? {} : { reload: () => certificates.reload() }),
      async drain() {
        log.info('draining', { within: config.drainMs })
        const left = await drain(engine, config.drainMs)
        if (left > 0) log.warn('drained-in-part', { leased: left })
      },
      async close() {
        log.info('closing')
        pressure.stop()
        reporting?.stop()
        access?.close()
        certificates?.stop()
        webhooks.close()
        await Promise.all([native.close(), http.close()])
        await engine.close()
        await tracing?.flush()
        forgetAdmin()
        log.info('closed')
      },
    }
  } catch (error) {
    pressure.stop()
    reporting?.stop()
    access?.close()
    forgetAdmin()
    certificates?.stop()
    await engine.close()
    throw error
  }
}

/** Limits of the server as a whole, by the names of their settings; sizes in bytes, times in ms. */
function limitsOf(config: ServerConfig): Readonly<Record<string, number>> {
  return {
    message_max: config.messageMax,
    frame_messages_max: FRAME_MESSAGES_MAX,
    memory_max: config.memoryMax,
    ...(config.diskFreeMin !== undefined && { disk_free_min: config.diskFreeMin }),
    connections_max: config.connectionsMax,
    streams_max: config.streamsMax,
    connections_per_address: config.connectionsPerAddress,
    queues_max: config.queuesMax,
    pulls_max: config.pullsMax,
    ...(config.publishRate !== undefined && { publish_rate: config.publishRate }),
    ...(config.publishBytesRate !== undefined && { publish_bytes_rate: config.publishBytesRate }),
    send_buffers_max: sendBuffersMaxOf(config),
    heartbeat: config.heartbeatMs,
  }
}

/** One for both listeners: a token is one client wherever it is shown. */
function ratesOf({ publishRate, publishBytesRate }: ServerConfig): PublishRates | undefined {
  if (publishRate === undefined && publishBytesRate === undefined) return undefined
  return new PublishRates({
    ...(publishRate !== undefined && { messages: publishRate }),
    ...(publishBytesRate !== undefined && { bytes: publishBytesRate }),
  })
}

const EXPIRED = 'the token has expired'
const REVOKED = 'the token was revoked'
/** Default of `send_buffers_max`, unless messages are large. */
const SEND_BUFFERS_MIN: number = 256 * 2 ** 20

function sendBuffersMaxOf({ sendBuffersMax, messageMax }: ServerConfig): number {
  return sendBuffersMax ?? Math.max(SEND_BUFFERS_MIN, 4 * messageMax)
}

function certificatesOf(config: ServerConfig, log: Log): Certificates | undefined {
  const { tlsCert: cert, tlsKey: key, tlsClientCa: clientCa, tlsClientCrl: clientCrl } = config
  if (cert === undefined || key === undefined) return undefined
  const files = {
    cert,
    key,
    ...(clientCa === undefined ? {} : { clientCa }),
    ...(clientCrl === undefined ? {} : { clientCrl }),
  }
  return new Certificates(files, (level, event, facts) => log[level](event, facts))
}

function webhooksOf(
  { webhooks = [] }: ServerConfig,
  { engine, clock, log, version }: { engine: Engine; clock: Clock; log: Log; version: string },
): Webhooks {
  return new Webhooks(webhooks, {
    engine,
    clock,
    wallClock: Date.now,
    userAgent: `sluice/${version}`,
    placeOf(name, sequence) {
      const queue = engine.broker.queue(name)
      return queue && placeOf(queue, sequence)
    },
    onFailed: sparingly((failure, untold) => log.warn('webhook-failed', { ...failure, ...(untold > 0 && { untold }) })),
  })
}

function entranceOf({ connectionsMax, connectionsPerAddress }: ServerConfig, { isLoopback }: Parts): Entrance {
  return new Entrance({
    connectionsMax,
    perAddressMax: connectionsPerAddress,
    ...(isLoopback === undefined ? {} : { isLoopback }),
  })
}

export interface MemoryServer extends RunningServer {
  /** Moves the virtual clock on, and returns when what became due has been sent. */
  advance(ms: number): Promise<void>
}

/** A whole server that keeps nothing, for tests: the real engine, if wished on a clock that stands still until it is moved. */
export async function startMemoryServer(options: { readonly virtualClock?: boolean } = {}): Promise<MemoryServer> {
  const clock = options.virtualClock === true ? virtualClock() : undefined
  const config: ServerConfig = {
    data: '',
    memory: true,
    listen: { host: '127.0.0.1', port: 0 },
    auth: 'none',
    allowUnauthenticatedNetwork: false,
    messageMax: 16 * 2 ** 20,
    memoryMax: 256 * 2 ** 20,
    autoCreate: false,
    heartbeatMs: 20_000,
    drainMs: 0,
    connectionsMax: 1_000,
    connectionsPerAddress: 1_000,
    queuesMax: 10_000,
    pullsMax: 10_000,
    streamsMax: 1_000,
    metricsQueuesMax: 200,
    tracing: 'off',
    queues: [],
  }
  const server = await startServer(config, { log: silentLog, ...(clock === undefined ? {} : { clock }) })
  return {
    ...server,
    async advance(ms) {
      if (clock === undefined) throw new Error('time moves by itself: start the server with virtualClock')
      clock.advance(ms)
      // The commits that this led to, and the frames they let out.
      for (let k = 0; k < 4; k += 1) await new Promise(resolve => setImmediate(resolve))
    },
  }
}

/** Not refused: a volume of a container is often so, and there is nobody else in there. */
async function warnOfOpenFolder(folder: string, log: Log): Promise<void> {
  const { mode } = await stat(folder)
  if ((mode & 0o002) !== 0 && process.platform !== 'win32') log.warn('data-folder-writable-by-all', { data: folder })
}

async function roomOf(folder: string, { spareBytes }: Journal): Promise<DiskSpace> {
  return { ...(await spaceOf(folder)), spareBytes }
}

/** Memory is ahead of the disk: nothing may be answered any more, so nothing is awaited either (P2). */
function endProcess({ code, message }: JournalFailure, log: Log): void {
  log.error('journal-failed', { code, reason: `${message}; the server stops, nothing more is confirmed` })
  // A thread is in the flush that does not end: an exit would wait for it, and every client for the exit.
  if (code === 'commit-overdue') process.kill(process.pid, 'SIGKILL')
  process.exit(EXIT_JOURNAL_FAILED)
}

/** The page that was built into the package; undefined in a checkout that has not been built. */
function builtDashboard(): Dashboard | undefined {
  try {
    return readDashboard(dirname(createRequire(import.meta.url).resolve('@sluice/dashboard/files/index.html')))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return undefined
    throw error
  }
}

function packageVersion(): string {
  const file = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  return (JSON.parse(file) as { version: string }).version
}
