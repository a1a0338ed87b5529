import type { Model } from './model.ts'
import type { Answer, Step } from './words.ts'

/** Which rule of the model carries out which step. */
export function carryOut(model: Model, step: Step): Answer[] {
  switch (step.kind) {
    case 'declare':
      model.declare(step.queue, step.options)
      return []
    case 'delete':
      return [model.delete(model.queue(step.queue))]
    case 'publish':
      return model.publish(model.touch(step.queue), step.pieces, { isAccepted: step.isAccepted })
    case 'numbered':
      return model.publishAtomic([step], false)
    case 'atomic':
      return model.publishAtomic(step.parts, true, step.isMissing)
    case 'subscribe':
      return [model.subscribe(model.touch(step.queue), step)]
    case 'unsubscribe':
      model.unsubscribe(
        model.subscription(step.subscription),
        step.isGone ? model.subscription(step.subscription).concurrency : 0,
      )
      return []
    case 'answer':
      return model.answerPull(model.subscription(step.subscription), step)
    case 'change': {
      const { subscription: id, kind, filter, ...change } = step
      const subscription = Object.assign(model.subscription(id), change)
      if (filter !== undefined) subscription.filter = filter ?? undefined
      model.touch(subscription.queue)
      return []
    }
    case 'settle':
      return model.settle(step)
    case 'tick':
      model.tick()
      return []
    case 'requeue':
      return [`${model.requeue(model.touch(step.queue), step.sequences)} requeued`]
    case 'pause':
      model.touch(step.queue).isPaused = step.isPaused
      return []
    case 'update':
      model.touch(step.queue).options = step.options
      model.declareNamed(step.options)
      for (const subscription of model.of(model.queue(step.queue)))
        subscription.prefetch = Math.min(subscription.prefetch, step.options.prefetchMax)
      return []
    case 'cancel':
    case 'extend':
      return [model.endOrExtend(model.touch(step.queue), step)]
    case 'purge':
      return [`${model.purge(model.touch(step.queue), step)} purged`]
    case 'stop':
      for (const queue of model.queues.values()) model.stop(queue)
      return []
    case 'restart':
      model.lastBusy = 0
      for (const queue of model.queues.values()) model.restart(queue, step.isClean)
      model.subscriptions.clear()
      return []
  }
}
