/**
 * A signal for SIGINT and SIGTERM. The first one asks the command to come to an orderly end; a second one ends the
 * process at once, as if nobody had listened.
 */
export function onInterrupt(): { readonly signal: AbortSignal } & Disposable {
  const controller = new AbortController()
  const abort = () => {
    release()
    controller.abort(new Interrupted())
  }
  const release = () => {
    process.off('SIGINT', abort)
    process.off('SIGTERM', abort)
  }
  process.on('SIGINT', abort)
  process.on('SIGTERM', abort)
  return { signal: controller.signal, [Symbol.dispose]: release }
}

export class Interrupted extends Error {
  constructor() {
    super('interrupted')
    this.name = 'Interrupted'
  }
}
