// A server like the real one for the dashboard: the static files and a stateful mock of the API, without dependencies.
//
//   node mock.mjs [--port 8099] [--processes 1|8|1000] [--interval 2] [--hours 48] [--token] [--store ok|failing|off] [--stalled]
//
// With --token the API asks for one: "operate-token" may do everything, "read-token" may only look. It exists so that the
// pages can be worked on and tested in states that a real program is rarely in. It checks what the contract says and
// answers errors in its words.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { Fleet } from "./simulate.mjs";

const FILES = join(dirname(fileURLToPath(import.meta.url)), "../../src/dashboard");
const TYPES = { html: "text/html; charset=utf-8", css: "text/css", js: "text/javascript", svg: "image/svg+xml" };
const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const TOKENS = { "operate-token": "operate", "read-token": "read" };

const given = process.argv.slice(2);
const option = (name, otherwise) => (given.includes(`--${name}`) ? given[given.indexOf(`--${name}`) + 1] : otherwise);
const port = Number(option("port", "8099"));
const store = option("store", "ok");
const withToken = given.includes("--token");
const fleet = new Fleet({
  many: Number(option("processes", "8")),
  interval: Number(option("interval", "2")),
  hours: Number(option("hours", "48")),
  stalled: given.includes("--stalled"),
});
const started = new Date();

class Refusal extends Error {
  constructor(status, key, message) {
    super(message);
    this.status = status;
    this.key = key;
  }
}

const find = (name) => {
  const bot = fleet.bots.find((one) => one.spec.name === name);
  if (!bot)
    throw new Refusal(404, "not_found", `there is no process "${name}", did you mean ${fleet.bots[0].spec.name}?`);
  return bot;
};

const moment = (text, otherwise) => {
  if (!text) return otherwise;
  const at = Date.parse(text);
  if (Number.isNaN(at)) throw new Refusal(400, "bad_time", `"${text}" is not a time, expected RFC 3339`);
  return at;
};

function needStore() {
  if (store === "off") throw new Refusal(503, "store_off", "history is off: no store is configured");
}

function health(role) {
  const stalled = fleet.bots.filter((bot) => bot.stalled).map((bot) => bot.spec.name);
  return {
    status: stalled.length || store === "failing" ? "degraded" : "ok",
    version: "1.0.0",
    started_at: started.toISOString(),
    now: new Date().toISOString(),
    uptime_seconds: (Date.now() - started) / 1000,
    processes: fleet.bots.length,
    stalled,
    role,
    store: {
      kind: store === "off" ? "none" : "sqlite",
      state: store,
      error: store === "failing" ? "disk is full" : null,
      lost_records: store === "failing" ? 12 : 0,
      waiting_records: store === "failing" ? 300 : 0,
      retention_days: 7,
      rollup_days: 90,
    },
  };
}

/** Newest first, a page at a time; the cursor is the place in the list. */
function page(list, query, fits, show, name) {
  needStore();
  const limit = Number(query.get("limit") ?? 100);
  if (!(limit >= 1 && limit <= 1000)) throw new Refusal(400, "bad_limit", "limit is 1 to 1000");
  const from = moment(query.get("from"), -Infinity),
    to = moment(query.get("to"), Infinity);
  const found = [];
  let i = Number(query.get("before") ?? list.length) - 1;
  for (; i >= 0 && found.length < limit; i -= 1) {
    const one = list[i];
    if (one.at >= from && one.at <= to && (!query.get("process") || one.process === query.get("process")) && fits(one))
      found.push(show(one));
  }
  const rest = list
    .slice(0, i + 1)
    .some(
      (one) =>
        one.at >= from && one.at <= to && (!query.get("process") || one.process === query.get("process")) && fits(one),
    );
  return { [name]: found, next: rest ? String(i + 1) : null };
}

const is = (query, name, value) => !query.get(name) || query.get(name) === String(value);

function settings() {
  return {
    processes: fleet.bots.map((bot) => ({
      process: bot.spec.name,
      version: 1,
      since: started.toISOString(),
      settings: [
        ["min_processes", bot.spec.min, "autoscale_settings.toml:4"],
        ["max_processes", bot.spec.max, "autoscale_settings.toml:5"],
        ["time_zone", null, "default"],
        ["measurement.backend", bot.spec.signals[0].backend, "autoscale_settings.toml:7"],
        ["measurement.settings.measurement_url", "/", "default"],
        ["measurement.settings.timeout_seconds", 30, "default"],
        ["measurement.settings.basic_auth", "(a secret)", "$MEASUREMENT_AUTH"],
        ["decision.backend", "ConsecutiveThreshold", "default"],
        ["decision.settings.min_measurement_value", bot.spec.signals[0].low, "autoscale_settings.toml:9"],
        ["decision.settings.max_measurement_value", bot.spec.signals[0].high, "autoscale_settings.toml:10"],
        ["decision.settings.number_of_fails_to_scale_up_after", 3, "default"],
        ["scaling.backend", "Heroku", "autoscale_settings.toml:13"],
        ["scaling.settings.heroku_app_name", "a-shop-with-a-long-name-in-production", "$HEROKU_APP_NAME"],
        ["notification.backends", ["Slack", "Mail"], "autoscale_settings.toml:16"],
        ["post_scale_wait_time_seconds", 5, "default"],
      ].map(([path, value, source]) => ({
        path,
        value: typeof value === "string" ? value : JSON.stringify(value),
        source,
      })),
    })),
  };
}

function checked(body, bot) {
  const { command, reason, count, scope } = body ?? {};
  if (!["pause", "resume", "hold", "scale", "dry_run", "evaluate"].includes(command))
    throw new Refusal(400, "bad_command", `there is no command "${command}"`);
  if (typeof reason !== "string" || reason.length < 1 || reason.length > 300)
    throw new Refusal(422, "bad_reason", "a reason of 1 to 300 letters is needed");
  if (reason === "refuse") throw new Refusal(409, "refused", "the platform is not reachable <i>now</i>");
  if (command === "pause" && !["all", "up", "down"].includes(scope))
    throw new Refusal(400, "bad_scope", "scope is all, up or down");
  if (
    bot &&
    ["hold", "scale"].includes(command) &&
    !(Number.isInteger(count) && count >= bot.spec.min && count <= bot.spec.max)
  )
    throw new Refusal(422, "outside_bounds", `${count} is not within ${bot.spec.min} to ${bot.spec.max}`);
  return body;
}

async function bodyOf(request) {
  let text = "";
  for await (const part of request) text += part;
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal(400, "bad_json", "the body is not JSON");
  }
}

async function api(request, path, query, role) {
  const [first, name, last] = path.map(decodeURIComponent);
  if (request.method === "POST" && (last === "commands" || first === "commands")) {
    if (role !== "operate") throw new Refusal(403, "forbidden", "this token may only read");
    const body = await bodyOf(request);
    if (first === "commands") {
      checked(body, null);
      for (const bot of fleet.bots) fleet.command(bot, body);
      return { processes: fleet.bots.length, failed: [] };
    }
    const bot = find(name);
    const decision = fleet.command(bot, checked(body, bot));
    return { process: fleet.show(bot), decision };
  }
  if (first === "health") return health(role);
  if (first === "processes" && !name)
    return {
      now: new Date().toISOString(),
      processes: fleet.bots.map((bot) => fleet.show(bot)).sort((a, b) => (a.name < b.name ? -1 : 1)),
    };
  if (first === "processes" && last === "series") {
    needStore();
    const to = moment(query.get("to"), Date.now()),
      from = moment(query.get("from"), to - 3_600_000);
    return fleet.series(find(name), from, to, Number(query.get("points") ?? 600));
  }
  if (first === "processes") return fleet.show(find(name));
  if (first === "decisions") {
    const fits = (one) =>
      is(query, "direction", one.direction) &&
      is(query, "key", one.reason.key) &&
      (query.get("changed") !== "true" || one.order !== null);
    return page(fleet.decisions, query, fits, fleet.showDecision, "decisions");
  }
  if (first === "events")
    return page(
      fleet.events,
      query,
      (one) => is(query, "kind", one.kind) && is(query, "severity", one.severity),
      fleet.showEvent,
      "events",
    );
  if (first === "settings") return settings();
  throw new Refusal(404, "not_found", "there is no such address");
}

function openStream(request, response, only) {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  const send = (event, data) => response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  const listener = (event, data) => {
    if (!only || only === (data.name ?? data.process)) send(event, data);
  };
  send("hello", { now: new Date().toISOString() });
  fleet.listeners.add(listener);
  const alive = setInterval(() => response.write(": alive\n\n"), 15_000);
  request.on("close", () => {
    fleet.listeners.delete(listener);
    clearInterval(alive);
  });
}

async function file(response, path) {
  const asked =
    path === "/" ? "index.html" : path.startsWith("/assets/") ? normalize(path.slice("/assets/".length)) : null;
  try {
    if (!asked || asked.startsWith("..")) throw new Error("outside");
    const bytes = await readFile(join(FILES, asked));
    response
      .writeHead(200, {
        "Content-Type": TYPES[asked.split(".").pop()] ?? "text/plain",
        "Content-Security-Policy": CSP,
        "Cache-Control": "no-cache",
      })
      .end(bytes);
  } catch {
    response.writeHead(404).end("not found");
  }
}

const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://mock");
  if (!url.pathname.startsWith("/api/v1/")) {
    await file(response, url.pathname);
    return;
  }
  const role = withToken ? TOKENS[request.headers.authorization?.replace(/^Bearer /, "")] : "operate";
  try {
    if (!role) throw new Refusal(401, "unauthorized", "a token is needed");
    const path = url.pathname.slice("/api/v1/".length).split("/");
    if (path[0] === "stream") {
      openStream(request, response, url.searchParams.get("process"));
      return;
    }
    const answer = await api(request, path, url.searchParams, role);
    response
      .writeHead(200, { "Content-Type": "application/json", "Cache-Control": "no-store" })
      .end(JSON.stringify(answer));
  } catch (error) {
    const { status = 500, key = "internal" } = error;
    response
      .writeHead(status, { "Content-Type": "application/json" })
      .end(JSON.stringify({ error: { key, message: error.message } }));
  }
});

// Looks are spread over the interval, as in a real fleet.
let turn = 0;
setInterval(() => {
  const parts = fleet.interval * 10,
    now = Date.now();
  fleet.bots.forEach((bot, i) => {
    if (i % parts !== turn % parts || bot.stalled) return;
    fleet.tick(bot, now);
    fleet.tell("process", fleet.show(bot));
  });
  turn += 1;
}, 100);

server.listen(port, "127.0.0.1", () => console.log(`http://127.0.0.1:${port}/`));
