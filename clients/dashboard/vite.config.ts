import { defineConfig } from 'vite'

/** Of what is in the file beside our own. */
const NOTICE = '/*! Preact, MIT licence, (c) 2015-present Jason Miller */'

/* Files with a hash in their name, nothing within the page: the policy of the server allows no inline script or style. */
export default defineConfig({
  root: import.meta.dirname,
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    emptyOutDir: true,
    rolldownOptions: { output: { postBanner: NOTICE } },
  },
})
