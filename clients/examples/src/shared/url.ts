/** `--url` of every program here, for `parseArgs`. */
export const URL_OPTION: { readonly type: 'string'; readonly default: string } = {
  type: 'string',
  default: process.env['SLUICE_URL'] || 'ws://127.0.0.1:7420',
}
