/** What an option of a queue can be here. */
export type TomlValue = string | number

/** `lease = "30s"` */
export function tomlPair(key: string, value: TomlValue): string {
  return `${key} = ${typeof value === 'number' ? value : tomlText(value)}`
}

/** A basic string (TOML 1.0): only what must be escaped is. */
function tomlText(text: string): string {
  const escaped = text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must be escaped
    /["\\\u0000-\u001f\u007f]/g,
    character => ESCAPES[character] ?? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  return `"${escaped}"`
}

const ESCAPES: Readonly<Record<string, string>> = { '"': '\\"', '\\': '\\\\', '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** A comment of one line, whatever the text has in it: nothing can step out of it. */
export function tomlComment(text: string): string {
  return `# ${oneLine(text)}`
}

/** Control characters could end a comment or drive a terminal. */
export function oneLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ')
}
