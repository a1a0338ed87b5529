import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { constants, gzipSync } from 'node:zlib'
import type { Exchange, Reply } from './exchange.ts'
import { Problem } from './problem.ts'
import type { Route } from './routes.ts'

/** The page at `/` and its files, each in the two forms in which it is sent. */
export interface Dashboard {
  /** By path, as `/` or `/assets/index-9f31.js`. */
  readonly files: ReadonlyMap<string, DashboardFile>
}

interface DashboardFile {
  readonly plain: Buffer
  /** gzip, if it is smaller. */
  readonly zipped: Buffer | undefined
  readonly headers: Readonly<Record<string, string>>
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

/**
 * Nothing but what this server sends, and no script or style within the page: whatever stands in a name or a body, it
 * can load nothing, run nothing, and send nothing anywhere else.
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self' data:",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ')

const PAGE_HEADERS = {
  'content-security-policy': POLICY,
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
}

/** A name with a hash is of one content for ever; the page itself is asked for each time. */
const FOR_EVER = 'public, max-age=31536000, immutable'

export const DASHBOARD_ROUTES: readonly Route[] = [
  {
    method: 'GET',
    path: '/',
    summary: 'The dashboard; holds no data, so it takes no token',
    statuses: [200, 400, 404],
    right: 'none',
    answers: {},
    handle: exchange => serve(exchange, '/'),
  },
  {
    method: 'GET',
    path: '/assets/{file}',
    summary: 'A file of the dashboard',
    statuses: [200, 400, 404],
    right: 'none',
    answers: {},
    handle: exchange => serve(exchange, `/assets/${exchange.path['file']}`),
  },
]

/**
 * Reads the built files, all of them, once: a request never reaches the disk.
 *
 * @param folder with `index.html` and `assets/`
 * @returns undefined where nothing was built
 */
export function readDashboard(folder: string): Dashboard | undefined {
  const files = new Map<string, DashboardFile>()
  let names: string[]
  try {
    names = readdirSync(path.join(folder, 'assets'))
    files.set('/', dashboardFile(path.join(folder, 'index.html'), 'no-cache'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  for (const name of names) {
    if (TYPES[path.extname(name)] === undefined) continue
    files.set(`/assets/${name}`, dashboardFile(path.join(folder, 'assets', name), FOR_EVER))
  }
  return { files }
}

function dashboardFile(file: string, caching: string): DashboardFile {
  const plain = readFileSync(file)
  const zipped = gzipSync(plain, { level: constants.Z_BEST_COMPRESSION })
  return {
    plain,
    zipped: zipped.length < plain.length ? zipped : undefined,
    headers: {
      'content-type': TYPES[path.extname(file)] ?? 'application/octet-stream',
      'cache-control': caching,
      vary: 'accept-encoding',
      ...PAGE_HEADERS,
    },
  }
}

function serve({ connection, query, request }: Exchange, at: string): Reply {
  query.end()
  const { dashboard } = connection.shared
  const file = dashboard?.files.get(at)
  if (file === undefined) {
    const detail =
      dashboard === undefined ? 'the dashboard was not built: run "npm run build"' : `there is nothing at ${at}`
    throw new Problem('no-such-route', detail)
  }
  const isZipped =
    file.zipped !== undefined && /\bgzip\b(?!;q=0(?:\.0*)?(?:,|$))/.test(`${request.headers['accept-encoding'] ?? ''}`)
  return {
    status: 200,
    text: isZipped ? file.zipped : file.plain,
    headers: { ...file.headers, ...(isZipped ? { 'content-encoding': 'gzip' } : {}) },
  }
}
