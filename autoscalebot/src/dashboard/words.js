// What numbers, times and states are called on the page.
//
// One place, so that the overview, a process and the journal never use two words for one thing. A missing value is
// shown as "–", never as zero: unknown is not a number. Times are local and 24 hours; the footer names the zone and
// each title holds the full moment.
import { h, setAttribute, setText } from "./dom.js";

/** Status of the API → [words, icon, tone, group]. Tones: ok, move, rest, hand, limit, bad. */
const STATUS = {
  starting: ["Starting", "clock", "rest", "steady"],
  steady: ["Steady", "check", "ok", "steady"],
  scaling_up: ["Scaling up", "up", "move", "scaling"],
  scaling_down: ["Scaling down", "down", "move", "scaling"],
  waiting: ["Waiting after a scale", "clock", "rest", "scaling"],
  at_max: ["At its maximum", "ceiling", "limit", "attention"],
  at_min: ["At its minimum", "floor", "ok", "steady"],
  held_busy: ["Workers are busy", "busy", "rest", "scaling"],
  backing_off: ["Platform refused", "retry", "bad", "attention"],
  paused: ["Paused", "pause", "hand", "by_hand"],
  held: ["Held", "lock", "hand", "by_hand"],
  measurement_failing: ["Cannot measure", "warning", "bad", "attention"],
  count_unknown: ["Count unknown", "question", "bad", "attention"],
  stalled: ["Stalled", "warning", "bad", "attention"],
};

/** What the groups of the overview are called, in the order in which they are shown. */
export const GROUPS = [
  ["attention", "Need attention"],
  ["scaling", "Scaling"],
  ["by_hand", "Paused or held"],
  ["steady", "Steady"],
];

export function statusOf(process) {
  const [text, icon, tone, group] = STATUS[process.status] ?? [process.status, "question", "rest", "steady"];
  return { text, icon, tone, group };
}

const digits = [0, 1, 2].map((n) => new Intl.NumberFormat("en", { maximumFractionDigits: n, useGrouping: "min2" }));

/** As many places as help: 1310, 35.2, 0.35. */
export function number(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  return digits[size >= 100 ? 0 : size >= 10 ? 1 : 2].format(value);
}

export const withUnit = (value, unit) =>
  value === null || value === undefined ? "–" : unit ? `${number(value)} ${unit}` : number(value);

export const count = (value, noun, plural = `${noun}s`) => `${number(value)} ${value === 1 ? noun : plural}`;

/** "ResponseTime" is a name in the settings; people read "Response time". */
export function backendName(backend) {
  const words = String(backend)
    .split(".")
    .pop()
    .replace(/([a-z])([A-Z])/g, (_, a, b) => `${a} ${b.toLowerCase()}`);
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Where a reading stands between its thresholds: above high is high, at or below low is low. */
export function level(signal) {
  if (signal.reading === null || signal.reading === undefined) return null;
  if (signal.high !== null && signal.reading > signal.high) return "high";
  if (signal.low !== null && signal.reading <= signal.low) return "low";
  return signal.low === null && signal.high === null ? null : "fine";
}

export function thresholds(signal) {
  const parts = [];
  if (signal.low !== null) parts.push(`low ≤ ${number(signal.low)}`);
  if (signal.high !== null) parts.push(`high > ${number(signal.high)}`);
  return parts.join(" · ");
}

export const bounds = (process) =>
  process.min === process.max ? `exactly ${process.min}` : `${process.min}–${process.max}`;

/** What a person ordered, in a sentence, or null when the bot decides by itself. */
export function modeSentence(process) {
  const { kind, scope, count: n, until, reason } = process.mode;
  if (kind === "automatic") return null;
  const what =
    kind === "held"
      ? `Held at ${n}`
      : ({ up: "Paused for scaling up", down: "Paused for scaling down" }[scope] ?? "Paused");
  return `${what} ${until ? `until ${clock(until)}` : "until it is resumed"}${reason ? `: ${reason}` : ""}`;
}

/** A span of milliseconds in one unit. */
export function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 90) return `${seconds} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 36 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

const timeFormat = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const shortTime = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const dayFormat = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

export const day = (at) => dayFormat.format(new Date(at));
export const minute = (at) => shortTime.format(new Date(at));
export const second = (at) => timeFormat.format(new Date(at));

/** The time today, or day and time of another day. */
export function clock(at) {
  const when = new Date(at);
  const today = new Date().toDateString() === when.toDateString();
  return today ? timeFormat.format(when) : `${dayFormat.format(when)}, ${timeFormat.format(when)}`;
}

export function time(at, text = clock(at)) {
  return h("time", { datetime: new Date(at).toISOString(), title: new Date(at).toISOString() }, text);
}

/** Changes an existing `<time>`. */
export function setTime(element, at, text) {
  setText(element, text);
  const iso = at ? new Date(at).toISOString() : null;
  setAttribute(element, "datetime", iso);
  setAttribute(element, "title", iso);
}

/** The name of the local zone, such as "Europe/Vienna, UTC+1". */
export function zone() {
  const name = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const offset = -new Date().getTimezoneOffset();
  if (offset === 0) return name === "UTC" ? "UTC" : `${name}, UTC`;
  const hours = Math.trunc(Math.abs(offset) / 60),
    minutes = Math.abs(offset) % 60;
  return `${name}, UTC${offset > 0 ? "+" : "−"}${hours}${minutes ? `:${String(minutes).padStart(2, "0")}` : ""}`;
}

/** Why as many run as run: the sentence, or what can be said without one. */
export function why(process) {
  if (process.reason?.sentence) return process.reason.sentence;
  return process.status === "starting"
    ? "it has just started and has not measured yet"
    : "no decision has been made yet";
}

/** @param {number} now milliseconds, by the server's clock */
export function nextTick(process, now) {
  if (!process.next_tick_at) return "–";
  const left = Date.parse(process.next_tick_at) - now;
  return left > 900 ? `in ${span(left)}` : left > -3000 ? "now" : `${span(-left)} late`;
}

export function lastScale(process, now) {
  const last = process.last_scale;
  return last ? `${last.from} → ${last.to}, ${span(now - Date.parse(last.at))} ago` : "not yet";
}
