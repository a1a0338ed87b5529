import type { Fault } from './job.ts'
import type { Connection, Publish } from './system.ts'

/** Which publish of the connection goes wrong. */
const PLANTED_AT = 100

/** The same connection with a fault in it. */
export function withFault(connection: Connection, fault: Fault): Connection {
  return {
    declare: (queue, barrier) => connection.declare(queue, barrier),
    publisher: queue => faulty(connection.publisher(queue), fault),
    consume: (queue, options) => connection.consume(queue, options),
    done: (queue, count) => connection.done(queue, count),
    close: () => connection.close(),
  }
}

function faulty(publish: Publish, fault: Fault): Publish {
  let count = 0
  return body => {
    count += 1
    if (count !== PLANTED_AT) return publish(body)
    return fault === 'lose' ? Promise.resolve() : Promise.all([publish(body), publish(body)])
  }
}
