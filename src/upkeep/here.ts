import { ConfigError } from '../config/config.ts'
import { shownAsToml, shownSettings } from '../config/show.ts'
import { JournalFailure } from '../journal/journal.ts'
import type { ScanReport } from '../journal/table/scan.ts'
import { BackupError } from './manifest.ts'

/* What `sluice server` does on this machine without a server. Each part is loaded when it is asked for. */

type Refused = { readonly code: string; readonly problems: readonly string[] }

/** @returns the settings with their origins, or what is wrong */
export async function check(
  file: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<
  { readonly settings: readonly object[]; readonly queues: readonly string[]; readonly toml: string } | Refused
> {
  return refusedOr(async () => {
    const { checkConfig } = await import('./check-config.ts')
    const loaded = await checkConfig({ environment, ...(file === undefined ? {} : { file }) })
    const queues = loaded.config.queues.map(({ name }) => name)
    return { settings: shownSettings(loaded), queues, toml: shownAsToml(loaded) }
  })
}

export async function scan(folder: string): Promise<ScanReport | Refused> {
  return refusedOr(async () => (await import('../journal/lmdb/rebuild.ts')).scanFolder(folder))
}

export async function restore(
  from: string,
  data: string,
): Promise<{ readonly takenAt: string; readonly sluice: string; readonly contents: ScanReport } | Refused> {
  return refusedOr(async () => {
    const { restoreBackup } = await import('./restore.ts')
    const { manifest, contents } = await restoreBackup(from, data)
    return { takenAt: manifest.takenAt, sluice: manifest.sluice, contents }
  })
}

async function refusedOr<T>(work: () => Promise<T>): Promise<T | Refused> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof ConfigError) return { code: error.code, problems: error.problems }
    if (error instanceof JournalFailure || error instanceof BackupError)
      return { code: error.code, problems: [error.message] }
    throw error
  }
}
