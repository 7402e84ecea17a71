// The history of one process: a series of points and what happened between them, kept while time moves on.
//
// From the store when there is one, otherwise from what this page has seen itself. Pure data: no element is touched here.
import { get, getAll } from "./api.js";
import { entry, repeatsDecision } from "./entries.js";
import { live, storeOff } from "./live.js";
import { count, span, withUnit } from "./words.js";

/** Enough for the widest screen at one point for two pixels. */
const POINTS = 600;
/** More marks than this cannot be told apart on any screen. */
const MOST_MARKS = 500;
/** Between points that are more steps apart there is a gap; `autoscalebot plot` (command/plot/mod.rs) says the same. */
const GAP_STEPS = 3;

/** A series without points, for a process. */
export function emptySeries(process) {
  return {
    signals: process.signals.map(({ index, backend, unit, low, high }) => ({ index, backend, unit, low, high })),
    source: "raw",
    step_seconds: 0,
    at_ms: [],
    running: [],
    wanted: [],
    min: [],
    max: [],
    readings: process.signals.map(() => ({ mean: [], lowest: [], highest: [], failures: [] })),
  };
}

/** Adds what a tick says at the end, once for each tick. */
export function append(series, process, from) {
  const at = process.last_tick_at ? Date.parse(process.last_tick_at) : NaN;
  if (Number.isNaN(at)) return;
  const i = series.at_ms.length && series.at_ms.at(-1) >= at ? series.at_ms.length - 1 : series.at_ms.length;
  if (i < series.at_ms.length && series.at_ms[i] > at) return;
  series.at_ms[i] = at;
  for (const name of ["running", "wanted", "min", "max"]) series[name][i] = process[name];
  series.readings.forEach((readings, index) => {
    const signal = process.signals[index];
    readings.mean[i] = readings.lowest[i] = readings.highest[i] = signal?.reading ?? null;
    readings.failures[i] = signal?.failure ? 1 : 0;
  });
  while (series.at_ms.length > 2 && series.at_ms[1] < from) {
    for (const list of lists(series)) list.shift();
  }
}

const lists = (series) => [
  series.at_ms,
  series.running,
  series.wanted,
  series.min,
  series.max,
  ...series.readings.flatMap(({ mean, lowest, highest, failures }) => [mean, lowest, highest, failures]),
];

/** How many milliseconds neighbours are apart at most while all is well: a step, or longer when a signal is slower. */
export const usualStep = (series, process) =>
  1000 * Math.max(series.step_seconds, ...process.signals.map((signal) => signal.interval_seconds));

/** Whether nothing is known between a point and the one before it: the program did not run, or records were lost. */
export const isAfterGap = (series, i, step) => i > 0 && series.at_ms[i] - series.at_ms[i - 1] > GAP_STEPS * step;

/**
 * What the charts draw: the series with empty points in its gaps, so that no line and no shading crosses them.
 *
 * The series itself stays as it is, because the table, the summary and `append` must not meet points that never were.
 * `index` leads from a drawn point to its place in the series, from an empty one to that of the last before the gap.
 */
export function withGaps(series, step) {
  const at_ms = [],
    index = [],
    isGap = [];
  const add = (at, i, empty) => {
    at_ms.push(at);
    index.push(i);
    isGap.push(empty);
  };
  series.at_ms.forEach((at, i) => {
    if (isAfterGap(series, i, step)) {
      // What was decided holds for a step; and the pointer is nearer to an empty point all the way through the gap.
      add(series.at_ms[i - 1] + step, i - 1, true);
      add(at - step, i - 1, true);
    }
    add(at, i, false);
  });
  const spread = (list, empty = null) => index.map((i, place) => (isGap[place] ? empty : list[i]));
  return {
    at_ms,
    index,
    isGap,
    running: spread(series.running),
    wanted: spread(series.wanted),
    min: spread(series.min),
    max: spread(series.max),
    readings: series.readings.map(({ mean, lowest, highest, failures }) => ({
      mean: spread(mean),
      lowest: spread(lowest),
      highest: spread(highest),
      failures: spread(failures, 0),
    })),
  };
}

export async function loadSeries(process, from, to, signal) {
  if (!storeOff()) {
    const query = { from: new Date(from).toISOString(), to: new Date(to).toISOString(), points: POINTS };
    return get(`processes/${encodeURIComponent(process.name)}/series`, query, signal);
  }
  const series = emptySeries(process);
  for (const seen of live.seen.get(process.name) ?? []) append(series, seen, from);
  append(series, process, from);
  return series;
}

/** Decisions with an order, and events, oldest first. */
export async function loadMarks(name, from, to, signal) {
  if (storeOff())
    return live.events
      .filter((event) => event.process === name)
      .map((event) => entry("event", event))
      .reverse();
  const query = { process: name, from: new Date(from).toISOString(), to: new Date(to).toISOString() };
  const [decisions, events] = await Promise.all([
    getAll("decisions", "decisions", { ...query, changed: true }, MOST_MARKS, signal),
    getAll("events", "events", query, MOST_MARKS, signal),
  ]);
  return [
    ...decisions.map((one) => entry("decision", one)),
    ...events.filter((one) => !repeatsDecision(one)).map((one) => entry("event", one)),
  ].sort((a, b) => a.at.localeCompare(b.at));
}

/** The charts in words. */
export function summary(series, marks, length, following, step) {
  if (!series.at_ms.length) return "No data in this time yet.";
  const parts = series.signals.map((signal, i) => {
    const { mean, lowest, highest, failures } = series.readings[i];
    const means = mean.filter((value) => value !== null);
    const failed = failures.reduce((sum, n) => sum + n, 0);
    const tail = failed ? `, ${count(failed, "failed measurement")}` : "";
    if (!means.length) return `no reading${tail}`;
    const least = Math.min(...lowest.filter((value) => value !== null)),
      top = Math.max(...highest.filter((value) => value !== null));
    const average = means.reduce((sum, value) => sum + value, 0) / means.length;
    return `readings from ${withUnit(least, signal.unit)} to ${withUnit(top, signal.unit)}, ${withUnit(average, signal.unit)} on average${tail}`;
  });
  const running = series.running.filter((value) => value !== null);
  const ran = running.length ? `${Math.min(...running)} to ${Math.max(...running)} running` : "count unknown";
  const unknown = series.at_ms.reduce(
    (sum, at, i) => (isAfterGap(series, i, step) ? sum + at - series.at_ms[i - 1] : sum),
    0,
  );
  const gaps = unknown ? `; no data for ${span(unknown)}` : "";
  const ups = marks.filter((one) => one.tone === "up").length,
    downs = marks.filter((one) => one.tone === "down").length;
  const scaled = `scaled up ${count(ups, "time")} and down ${count(downs, "time")}`;
  return `${following ? "The last" : "These"} ${span(length)}: ${parts.join("; ")}; ${ran}${gaps}; ${scaled}.`;
}
