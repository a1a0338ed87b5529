import { useEffect, useRef, useState } from 'preact/hooks'
import { count } from '../format.ts'

/* One dialog and one place for what came of an act, whatever page began it. */

interface Question {
  readonly title: string
  /** What will be lost, and how much of it. */
  readonly text: string
  readonly button: string
  /** To be typed before the button can be pressed. */
  readonly typed?: string | undefined
  /** A text that is asked for, with what stands there first. */
  readonly input?: { readonly label: string; readonly value: string; readonly hint?: string }
  readonly isHarmless?: boolean
  /** @param value of the input */
  readonly act: (value: string) => Promise<string>
}

/** Above so many messages the name of the queue must be typed. */
export const TYPED_ABOVE = 1_000

let showQuestion: (question: Question) => void = () => {}
let showResult: (result: Result) => void = () => {}

interface Result {
  readonly text: string
  readonly isBad: boolean
}

export function confirm(question: Question): void {
  showQuestion(question)
}

/** Does it, and says that it is done, or why not. */
export function act(done: string, doing: () => Promise<unknown>): void {
  doing().then(
    () => showResult({ text: done, isBad: false }),
    error => showResult({ text: `Not done: ${messageOf(error)}`, isBad: true }),
  )
}

/** For purges and deletes: many messages take more than a click. */
export function typedFor(name: string, messages: number): string | undefined {
  return messages > TYPED_ABOVE ? name : undefined
}

export function messageOf(error: unknown): string {
  if (error instanceof TypeError) return 'the server is not reached'
  return error instanceof Error ? error.message : String(error)
}

export function Acting() {
  const [question, setQuestion] = useState<Question>()
  const [result, setResult] = useState<Result>()
  showQuestion = setQuestion
  showResult = setResult
  useEffect(() => {
    if (result === undefined || result.isBad) return
    const timer = setTimeout(() => setResult(undefined), 6_000)
    return () => clearTimeout(timer)
  }, [result])
  return (
    <>
      {question !== undefined && (
        <Ask
          key={question.title}
          question={question}
          end={text => {
            setQuestion(undefined)
            if (text !== undefined) setResult({ text, isBad: false })
          }}
        />
      )}
      <div class="result" role="status" aria-live="polite">
        {result !== undefined && (
          <p class={result.isBad ? 'bad' : 'good'}>
            {result.text}
            <button type="button" class="quiet" onClick={() => setResult(undefined)}>
              Close
            </button>
          </p>
        )}
      </div>
    </>
  )
}

function Ask({ question, end }: { readonly question: Question; readonly end: (result?: string) => void }) {
  const dialog = useRef<HTMLDialogElement>(null)
  const [typed, setTyped] = useState(question.input?.value ?? '')
  const [problem, setProblem] = useState<string>()
  const [isBusy, setBusy] = useState(false)
  useEffect(() => dialog.current?.showModal(), [])
  const { title, text, button, typed: wanted, input, isHarmless, act: doIt } = question
  const go = (event: Event): void => {
    event.preventDefault()
    setBusy(true)
    doIt(typed).then(end, error => {
      setProblem(messageOf(error))
      setBusy(false)
    })
  }
  return (
    <dialog ref={dialog} aria-labelledby="ask-title" onClose={() => end()}>
      <form onSubmit={go}>
        <h2 id="ask-title">{title}</h2>
        <p>{text}</p>
        {wanted !== undefined && (
          <label>
            Type the name of the queue, <bdi class="name">{wanted}</bdi>, to go on
            <input
              value={typed}
              onInput={event => setTyped(event.currentTarget.value)}
              autocomplete="off"
              spellcheck={false}
            />
          </label>
        )}
        {input !== undefined && (
          <label>
            {input.label}
            <input
              value={typed}
              onInput={event => setTyped(event.currentTarget.value)}
              autocomplete="off"
              spellcheck={false}
            />
            {input.hint !== undefined && <small>{input.hint}</small>}
          </label>
        )}
        {problem !== undefined && (
          <p class="bad" role="alert">
            {problem}
          </p>
        )}
        <div class="acts">
          <button type="button" onClick={() => dialog.current?.close()}>
            Keep it as it is
          </button>
          <button
            type="submit"
            class={isHarmless ? 'main' : 'danger'}
            disabled={isBusy || (wanted !== undefined && typed !== wanted)}
          >
            {button}
          </button>
        </div>
      </form>
    </dialog>
  )
}

/** `5,000 messages`, as something that will be gone. */
export function lost(messages: number): string {
  return messages === 1 ? '1 message' : `${count(messages)} messages`
}
