import type { System } from '../system.ts'
import { beanstalkd, beanstalkdLazy } from './beanstalkd.ts'
import { nats } from './nats.ts'
import { rabbitmq, rabbitmqClassic } from './rabbitmq.ts'
import { redis, redisEverysec } from './redis.ts'
import { sluice } from './sluice.ts'

/** All there are, by the name that the command line uses. */
export const SYSTEMS: Readonly<Record<string, System>> = {
  sluice,
  rabbitmq,
  'rabbitmq-classic': rabbitmqClassic,
  nats,
  redis,
  'redis-everysec': redisEverysec,
  beanstalkd,
  'beanstalkd-lazy': beanstalkdLazy,
}
