import { useState } from 'preact/hooks'

const KEY = 'sluice-theme'
const THEMES = ['auto', 'light', 'dark'] as const

/** What was chosen in this browser; else what its system says. */
export function beginTheme(): void {
  set(localStorage.getItem(KEY) ?? 'auto')
}

function set(theme: string): void {
  if (theme === 'light' || theme === 'dark') document.documentElement.dataset['theme'] = theme
  else delete document.documentElement.dataset['theme']
}

export function ThemeChoice() {
  const [theme, setTheme] = useState(localStorage.getItem(KEY) ?? 'auto')
  const choose = (chosen: string): void => {
    localStorage.setItem(KEY, chosen)
    set(chosen)
    setTheme(chosen)
  }
  return (
    <label class="theme">
      <span class="hidden">Colours</span>
      <select value={theme} onChange={event => choose(event.currentTarget.value)}>
        {THEMES.map(name => (
          <option key={name} value={name}>
            {name}
          </option>
        ))}
      </select>
    </label>
  )
}
