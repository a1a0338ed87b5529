import { ConfigError } from '../config/config.ts'
import { checkExposure } from '../config/exposure.ts'
import { type ConfigSources, type LoadedConfig, loadConfig } from '../config/load.ts'
import { applyQueues } from '../config/queues.ts'
import { provideQueues } from '../config/webhooks.ts'
import { realClock } from '../engine/clock.ts'
import { Engine } from '../engine/engine.ts'
import { Pressure } from '../engine/pressure.ts'
import { memoryJournal } from '../journal/memory.ts'
import { CertificateError, Certificates } from '../net/certificates.ts'

/**
 * A configuration as a start would judge it, without starting: also what its values say together, whether the
 * certificates can be used, and whether the queues can be declared.
 *
 * @throws ConfigError with everything that is wrong, as far as it can be told
 */
export async function checkConfig(sources: ConfigSources): Promise<LoadedConfig> {
  const loaded = loadConfig(sources)
  const { config } = loaded
  const problems: string[] = []
  const note = (error: unknown): void => {
    if (error instanceof ConfigError) problems.push(...error.problems)
    else if (error instanceof CertificateError) problems.push(error.message)
    else throw error
  }
  try {
    checkExposure(config, config.auth === 'tokens' || config.tlsClientCa !== undefined)
  } catch (error) {
    note(error)
  }
  try {
    checkCertificates(loaded)
  } catch (error) {
    note(error)
  }
  try {
    await declareQueues(loaded)
  } catch (error) {
    note(error)
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return loaded
}

function checkCertificates({ config }: LoadedConfig): void {
  const { tlsCert: cert, tlsKey: key, tlsClientCa: clientCa, tlsClientCrl: clientCrl } = config
  if (cert === undefined || key === undefined) return
  const files = { cert, key, ...(clientCa === undefined ? {} : { clientCa }) }
  new Certificates({ ...files, ...(clientCrl === undefined ? {} : { clientCrl }) }, () => {}).stop()
}

/** On an engine that keeps nothing: what is kept already may still contradict it. */
async function declareQueues({ config }: LoadedConfig): Promise<void> {
  const clock = realClock()
  const engine = new Engine({
    journal: memoryJournal(),
    clock,
    messageMax: config.messageMax,
    frameMessagesMax: 1,
    autoCreate: false,
    queuesMax: config.queuesMax,
    pressure: new Pressure(clock),
    onFatal: reason => {
      throw reason
    },
  })
  await engine.open()
  try {
    applyQueues(engine, config.queues)
    provideQueues(engine, config.webhooks)
  } finally {
    await engine.close()
  }
}
