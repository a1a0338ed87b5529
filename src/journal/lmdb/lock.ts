import { randomBytes } from 'node:crypto'
import { closeSync, linkSync, openSync, readdirSync, rmSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { JournalFailure } from '../journal.ts'

/*
 * Who holds a folder listens on the socket `lock-N` in it with the highest N. The kernel ends the listening with the
 * process, whatever its end, so a lock that nobody answers for is free: no process id to compare, which another
 * process may have by now or which means nothing outside its container.
 *
 * A lock is never taken over, only overtaken: whoever finds `lock-N` without an answer creates `lock-(N+1)`, which only
 * one can, and the highest is never removed. So nobody can remove a lock that was alive again in the meantime. The
 * socket is made listening under another name first and then linked: there is no moment at which a lock exists and
 * does not answer yet. A listing may be old by the time it is used; hence the second look, see `overtake`.
 */

const NAME = /^lock-(\d{1,15})$/
/** For the holder to say its process id. It holds the lock without, too: it may be stopped or busy. */
const ANSWER_MS = 1_000
/** Most bytes of the path of a unix socket on any system, less one. */
const PATH_MAX = 103

export interface Lock {
  release(): Promise<void>
}

/** @throws JournalFailure `locked` if another holds the folder, `unusable-folder` if it cannot hold sockets */
export async function lockFolder(folder: string): Promise<Lock> {
  const fd = openSync(folder, 'r')
  const spare = `lock-${randomBytes(6).toString('hex')}.new`
  try {
    const server = await listen(socketPath(folder, fd, spare))
    try {
      await overtake(folder, fd, spare)
    } catch (error) {
      server.close()
      throw error
    }
    return { release: () => new Promise(resolve => server.close(() => resolve())) }
  } finally {
    rmSync(join(folder, spare), { force: true })
    closeSync(fd)
  }
}

async function overtake(folder: string, fd: number, spare: string): Promise<void> {
  for (;;) {
    const highest = Math.max(0, ...locksIn(folder))
    if (highest > 0) await refuseIfHeld(folder, socketPath(folder, fd, `lock-${highest}`))
    const own = join(folder, `lock-${highest + 1}`)
    try {
      linkSync(join(folder, spare), own)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue
      throw unusable(folder, error)
    }
    const locks = locksIn(folder)
    if (locks.some(lock => lock > highest + 1)) {
      // The listing was old, and somebody is further by now.
      rmSync(own, { force: true })
      continue
    }
    for (const lock of locks) if (lock <= highest) rmSync(join(folder, `lock-${lock}`), { force: true })
    return
  }
}

function locksIn(folder: string): readonly number[] {
  return readdirSync(folder).flatMap(name => {
    const match = NAME.exec(name)
    return match ? [Number(match[1])] : []
  })
}

function listen(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer(socket => {
      socket.on('error', () => socket.destroy())
      socket.end(String(process.pid))
    })
    server.once('error', error => reject(unusable(path, error)))
    server.listen(path, () => resolve(server))
    // The lock is not what keeps the process alive.
    server.unref()
  })
}

function refuseIfHeld(folder: string, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    let pid = ''
    let isHeld = false
    const end = (): void => {
      clearTimeout(timer)
      socket.destroy()
      const holder = pid ? `process ${pid}` : 'a process that does not answer'
      if (!isHeld) resolve()
      else reject(new JournalFailure('locked', `${folder} is in use by another server: ${holder}`))
    }
    const timer = setTimeout(end, ANSWER_MS)
    socket.setEncoding('utf8')
    socket.on('connect', () => {
      isHeld = true
    })
    socket.on('data', text => {
      pid += text
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // Nobody listens, or it was removed because somebody is further. Everything else could hide a holder.
      isHeld ||= error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'
      end()
    })
    socket.on('end', end)
  })
}

/** A path by which the socket can be reached; long ones, and only they, through the open folder. */
function socketPath(folder: string, fd: number, name: string): string {
  const path = join(folder, name)
  return Buffer.byteLength(path) <= PATH_MAX ? path : `/proc/self/fd/${fd}/${name}`
}

function unusable(path: string, cause: unknown): JournalFailure {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new JournalFailure('unusable-folder', `cannot lock the data folder (${path}): ${why}`, { cause })
}
