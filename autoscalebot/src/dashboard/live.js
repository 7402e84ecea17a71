// What is known right now: all processes, the health of the program, and how fresh both are.
//
//   stream ──▶ waiting changes ──(once a frame)──▶ pages
//
// Pages never talk to the stream themselves. Changes are collected and handed over at most once a frame, because a
// fleet of 1 000 processes says something a hundred times a second and a screen shows sixty pictures of it.
import { get, stream } from "./api.js";

const HEALTH_EVERY_MS = 15_000;
/** What happened since the page was opened, for when the store is off. */
const MOST_EVENTS = 500;
/** The same for points of a chart: an hour at one reading every ten seconds. */
const MOST_POINTS = 360;

export const live = {
  /** @type {any} */ health: null,
  /** @type {Map<string, any>} */ processes: new Map(),
  /** @type {"connecting"|"live"|"reconnecting"} */ state: "connecting",
  /** When anything was last heard, by this machine's clock. */ heardAt: 0,
  /** What to add to this machine's clock to get the server's. */ offset: 0,
  /** @type {any[]} newest first */ events: [],
  /** @type {Map<string, any[]>} process → what was seen of it, oldest first; kept only without a store */ seen: new Map(),
};

export const now = () => Date.now() + live.offset;

export const storeOff = () => live.health?.store?.state === "off";

export const mayOperate = () => live.health?.role === "operate";

const listeners = { processes: new Set(), event: new Set(), health: new Set(), state: new Set() };

/** @returns {() => void} stop listening */
export function on(type, listener) {
  listeners[type].add(listener);
  return () => listeners[type].delete(listener);
}

const emit = (type, what) => {
  for (const listener of [...listeners[type]]) listener(what);
};

function heard(serverNow) {
  live.heardAt = Date.now();
  if (serverNow) live.offset = Date.parse(serverNow) - Date.now();
}

export async function loadHealth() {
  live.health = await get("health");
  heard(live.health.now);
  emit("health", live.health);
}

export async function loadProcesses() {
  const answer = await get("processes");
  heard(answer.now);
  live.processes = new Map(answer.processes.map((process) => [process.name, process]));
  emit("processes", null);
}

/** Takes one process as the newest word, for example from the answer to a command. */
export function take(process) {
  live.processes.set(process.name, process);
  remember(process);
  emit("processes", new Set([process.name]));
}

function remember(process) {
  if (!storeOff() || !process.last_tick_at) return;
  const points = live.seen.get(process.name) ?? [];
  if (points.at(-1)?.last_tick_at === process.last_tick_at) points.pop();
  points.push(process);
  if (points.length > MOST_POINTS) points.shift();
  live.seen.set(process.name, points);
}

let stopStream = null,
  streamed,
  waiting = new Map(),
  asked = false;

function flush() {
  asked = false;
  const changed = waiting;
  waiting = new Map();
  for (const [name, process] of changed) live.processes.set(name, process);
  if (changed.size) emit("processes", new Set(changed.keys()));
}

function message(event, data) {
  heard(data.now);
  if (event === "process") {
    waiting.set(data.name, data);
    remember(data);
    // A hidden page gets no frames; what waits is one entry for each process, so it cannot grow.
    if (!asked) {
      asked = true;
      requestAnimationFrame(flush);
    }
  } else if (event === "event") {
    live.events.unshift(data);
    live.events.length = Math.min(live.events.length, MOST_EVENTS);
    emit("event", data);
  }
}

/** Listens to one process, or with `null` to all. Asking again for the same changes nothing. */
export function follow(process) {
  if (stopStream && streamed === process) return;
  stopStream?.();
  streamed = process;
  let lost = false;
  stopStream = stream(process, {
    message,
    state(state) {
      live.state = state;
      if (state === "live") heard(null);
      // What happened while the line was down is in no message, so it is asked for.
      if (state === "live" && lost) {
        loadProcesses().catch(() => {});
        loadHealth().catch(() => {});
      }
      lost = state === "reconnecting";
      emit("state", state);
    },
  });
}

export function unfollow() {
  stopStream?.();
  stopStream = null;
}

// A failed look at the health says nothing that the state of the stream does not say already.
setInterval(() => {
  if (stopStream && live.state === "live") loadHealth().catch(() => {});
}, HEALTH_EVERY_MS);
