/** Durations and sizes as text, for the listeners and the configuration, which do not look into the core. */
export { formatDuration, formatSize, type Misread, parseDuration, parseSize } from '../core/durations.ts'
