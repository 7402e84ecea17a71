// Scales an app with heroku-client, a client that we did not write, and prints what it saw as one JSON document.
//
// Usage: node heroku_client_scale.mjs NODE_MODULES API_URL TOKEN APP

import { createRequire } from 'node:module'

const [nodeModules, host, token, app] = process.argv.slice(2)
const Heroku = createRequire(`${nodeModules}/`)('heroku-client')
const heroku = new Heroku({ host, token })
const seen = {}

const failure = async (call) => {
  try {
    await call
    return null
  } catch (error) {
    return { status: error.statusCode, body: error.body }
  }
}
const counts = (formation) => Object.fromEntries(formation.map((process) => [process.type, process.quantity]))

seen.account = (await heroku.get('/account')).email
seen.formation = counts(await heroku.get(`/apps/${app}/formation`))
seen.scaled = (await heroku.patch(`/apps/${app}/formation/web`, { body: { quantity: 3 } })).quantity
seen.dynoSize = (
  await heroku.patch(`/apps/${app}/formation/web`, { body: { dyno_size: { name: 'Standard-2X' } } })
).dyno_size.name
seen.batch = counts(
  await heroku.patch(`/apps/${app}/formation`, {
    body: { updates: [{ type: 'web', quantity: '+1' }, { type: 'celery', quantity: '5', size: 'Standard-1X' }] }
  })
)
seen.dynos = (await heroku.get(`/apps/${app}/dynos`)).map((dyno) => dyno.name).sort()
seen.releases = (await heroku.get(`/apps/${app}/releases`)).map((release) => release.version).sort()
seen.tooMany = await failure(heroku.patch(`/apps/${app}/formation/web`, { body: { quantity: 101 } }))
seen.noSuchProcess = await failure(heroku.patch(`/apps/${app}/formation/clock`, { body: { quantity: 1 } }))
seen.wrongToken = await failure(new Heroku({ host, token: 'wrong' }).get('/account'))
seen.maintenance = (await heroku.patch(`/apps/${app}`, { body: { maintenance: true } })).maintenance

const session = await heroku.post(`/apps/${app}/log-sessions`, { body: { lines: 50, source: 'app', dyno: 'api' } })
const text = await fetch(session.logplex_url)
seen.log = { type: text.headers.get('content-type'), text: await text.text() }
const events = await fetch(session.logplex_url, { headers: { accept: 'text/event-stream' } })
seen.events = { type: events.headers.get('content-type'), text: await events.text() }

console.log(JSON.stringify(seen))
