import { spawn } from 'node:child_process'
import { jsonLog } from './log.ts'

/**
 * Tells systemd how far the server is, if it wants to know (`Type=notify`, sd_notify(3)). By the program that comes with
 * systemd: Node has no datagram sockets of UNIX. Nothing waits for it, and that it fails stops nothing.
 */
export function tellServiceManager(state: 'READY=1' | 'STOPPING=1'): void {
  if (process.env['NOTIFY_SOCKET'] === undefined) return
  const failed = (reason: string) => jsonLog().warn('service-manager-not-told', { state, reason })
  const child = spawn('systemd-notify', [state], { stdio: 'ignore' })
  child.on('error', ({ message }) => failed(message))
  child.on('exit', (code, signal) => {
    if (code !== 0) failed(`systemd-notify ended with ${code ?? signal}`)
  })
  child.unref()
}
