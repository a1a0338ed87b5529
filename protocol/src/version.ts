/** Version of the protocol that this package speaks; sent in the hello. */
export const PROTOCOL_VERSION = 3

/** Oldest version that a server still takes, because every client out there can have been updated since. */
export const PROTOCOL_VERSION_MIN = 1

/** What each version brought. A change to the table of frames that is not here is a mistake, and a test notices it. */
export const PROTOCOL_HISTORY: readonly { readonly version: number; readonly change: string }[] = [
  { version: 1, change: 'the first' },
  { version: 2, change: 'publishAtomic; lists and maps of up to 100,000 entries; methods for operators' },
  {
    version: 3,
    change:
      'publishes without a confirm; settles of everything up to a delivery; barriers in pages; atomic publishes spend their numbers',
  },
]

/** WebSocket sub-protocol, and the path it is served at. */
export const SUBPROTOCOL = 'sluice.v1'
export const WEBSOCKET_PATH = '/v1/ws'
