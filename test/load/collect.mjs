/* Loaded into a server before it starts: when it is asked it collects its garbage, and says what is left. */
process.on('message', () => {
  globalThis.gc()
  process.send(process.memoryUsage())
})
process.channel.unref()
