import { useState } from 'preact/hooks'
import { ask, keepToken, path, Refused, token } from '../api.ts'
import { messageOf } from '../parts/acting.tsx'

/** Takes a token. It stays in this tab. */
export function SignIn({ why, done }: { readonly why: string | undefined; readonly done: () => void }) {
  const [secret, setSecret] = useState('')
  const [problem, setProblem] = useState<string>()
  const submit = (event: Event): void => {
    event.preventDefault()
    keepToken(secret.trim())
    ask('GET', path(['overview'], { view: 'server' })).then(done, error => {
      keepToken(undefined)
      setProblem(
        error instanceof Refused && error.status === 401 ? 'This token does not open the server.' : messageOf(error),
      )
    })
  }
  return (
    <form class="sign-in card" onSubmit={submit}>
      <h1>Sign in</h1>
      <p>This server wants a token. It is kept in this tab only, and goes when you close it.</p>
      <label>
        Token
        <input
          type="password"
          autocomplete="off"
          required
          value={secret}
          aria-describedby="sign-in-problem"
          onInput={event => setSecret(event.currentTarget.value)}
        />
      </label>
      <p id="sign-in-problem" class="bad-text" role="alert">
        {problem ?? (token() === undefined ? '' : why)}
      </p>
      <button type="submit" class="main">
        Sign in
      </button>
      <p class="muted">
        The first start wrote one to <code>admin.token</code> in its data folder. Make others with{' '}
        <code>npx sluice token create NAME --allow 'browse:*'</code>.
      </p>
    </form>
  )
}
