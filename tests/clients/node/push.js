// Pushes lines through winston-loki as snappy-compressed protobuf, as an application that logs to Loki does.
//
// Usage: node push.js BASE_URL LABELS_JSON, lines on stdin; NODE_PATH names the installed packages.
// Exits with 1 when the connection failed. The client does not look at the status of the answer.

'use strict'

const winston = require('winston')
const LokiTransport = require('winston-loki')

// Without snappy the client silently falls back to JSON, and the test would show nothing.
require('snappy')

const [baseUrl, labels] = [process.argv[2], JSON.parse(process.argv[3])]
const lines = require('fs').readFileSync(0, 'utf8').split('\n').filter((line) => line !== '')

const transport = new LokiTransport({
  host: baseUrl,
  json: false,
  labels,
  interval: 0.2,
  timeout: 10000,
  // Its own clock at the moment of the call, in milliseconds.
  replaceTimestamp: true,
  format: winston.format.printf(({ message }) => message),
  gracefulShutdown: false,
  onConnectionError: (error) => {
    console.error(`could not push: ${error}`)
    process.exit(1)
  }
})
const logger = winston.createLogger({ level: 'info', transports: [transport] })

async function main () {
  for (const line of lines) logger.error(line)
  // The lines reach the transport in later turns of the event loop.
  await new Promise((resolve) => setImmediate(resolve))
  await transport.flush()
  process.exit(0)
}

main()
