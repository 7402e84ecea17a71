// One process: how many run and why, its history as charts, what was decided, and the buttons to take part.
//
// Follows the newest moment until somebody zooms; then time stands still until "Live" is pressed. Every part has its place from
// the start, so that nothing jumps when data comes.
import { get } from "./api.js";
import { makeCharts } from "./charts.js";
import { commandBar, sentence } from "./commands.js";
import { fill, h, icon, setAttribute, setIcon, setText } from "./dom.js";
import { entry } from "./entries.js";
import { append, isAfterGap, loadMarks, loadSeries, summary, usualStep } from "./history.js";
import { live, mayOperate, now, on, storeOff } from "./live.js";
import { makeMarks } from "./marks.js";
import { readingView } from "./reading.js";
import { recentList } from "./recent.js";
import { seriesTable } from "./table.js";
import { bounds, clock, lastScale, modeSentence, nextTick, number, setTime, statusOf, why, withUnit } from "./words.js";

const HOUR = 3_600_000;
const RANGES = {
  "1h": [HOUR, "1 hour"],
  "6h": [6 * HOUR, "6 hours"],
  "1d": [24 * HOUR, "1 day"],
  "7d": [168 * HOUR, "7 days"],
  "30d": [720 * HOUR, "30 days"],
  "90d": [2160 * HOUR, "90 days"],
};
/** Closer than this there is nothing to see: bots look every few seconds. */
const SHORTEST_MS = 60_000;
/** What was added tick by tick is asked for again now and then, so that it cannot drift from what the store has. */
const RELOAD_MS = 60_000;

/** The headline and its facts. */
function makeHead(name) {
  const statusIcon = icon("clock"),
    statusText = h("span", {});
  const status = h("span", { class: "badge" }, statusIcon, statusText);
  const dry = h("span", { class: "badge plain" }, "Dry run: nothing is scaled");
  const running = h("b", {}),
    because = h("span", {});
  const mode = h("p", { class: "mode" });
  const wanted = h("dd", {}),
    allowed = h("dd", {}),
    next = h("dd", {}),
    last = h("dd", {}),
    looked = h("time", {});
  const readings = h("div", { class: "readings" });
  const views = [];
  const fact = (label, value) => h("div", {}, h("dt", {}, label), value);
  const element = h(
    "section",
    { class: "card head", "aria-label": "Now" },
    h(
      "div",
      { class: "head-main" },
      h("div", { class: "head-name" }, h("h1", { tabindex: "-1" }, name), status, dry),
      h("p", { class: "headline", "aria-live": "polite", "aria-atomic": "true" }, running, because),
      mode,
      h(
        "dl",
        { class: "facts-row" },
        fact("Wanted", wanted),
        fact("Allowed now", allowed),
        fact("Last look", h("dd", {}, looked)),
        fact("Next look", next),
        fact("Last scale", last),
      ),
    ),
    readings,
  );
  return {
    element,
    update(process) {
      const { text, icon: sign, tone } = statusOf(process);
      setText(statusText, text);
      setIcon(statusIcon, sign);
      setAttribute(status, "data-tone", tone);
      dry.hidden = !process.dry_run;
      setText(running, process.running === null ? "Nobody knows how many run" : `${number(process.running)} running`);
      setText(because, ` — because ${why(process)}`);
      const ordered = modeSentence(process);
      setText(mode, ordered ?? "");
      mode.hidden = ordered === null;
      setText(wanted, number(process.wanted));
      setText(allowed, bounds(process));
      if (views.length !== process.signals.length) {
        views.splice(0, Infinity, ...process.signals.map(readingView));
        fill(
          readings,
          views.map((view) => view.element),
        );
      }
      process.signals.forEach((signal, i) => views[i].update(signal));
      this.clock(process);
    },
    clock(process) {
      setTime(looked, process.last_tick_at, process.last_tick_at ? clock(process.last_tick_at) : "not yet");
      setText(next, nextTick(process, now()));
      setText(last, lastScale(process, now()));
      if (process.last_scale) setAttribute(last, "title", process.last_scale.sentence);
    },
  };
}

/** @param {HTMLElement} main */
export function processPage(main, name, query) {
  const back = h("a", { class: "back", href: "#/" }, "All processes");
  const process = live.processes.get(name);
  if (!process) {
    const text = h("p", {}, "Asking …");
    fill(main, back, h("div", { class: "empty" }, h("h1", { tabindex: "-1" }, "Not here"), text));
    get(`processes/${encodeURIComponent(name)}`).then(
      () => location.reload(),
      (error) => setText(text, sentence(error.message)),
    );
    return () => {};
  }

  const head = makeHead(name);
  const commands = h("div", { class: "buttons", role: "group", "aria-label": "Commands" });
  const readOnly = h(
    "p",
    { class: "note" },
    icon("lock"),
    "Your token may read. Pausing, holding and scaling need one with the role operate.",
  );
  const history = makeHistory(name, query);
  const recent = recentList(name);
  fill(
    main,
    live.processes.size > 1 ? back : null,
    head.element,
    mayOperate() ? commands : readOnly,
    history.element,
    recent.element,
  );

  function update() {
    const newest = live.processes.get(name);
    head.update(newest);
    if (mayOperate()) commandBar(commands, newest);
  }
  update();
  history.start();
  recent.start();
  const stops = [
    on("processes", (names) => {
      if (names !== null && !names.has(name)) return;
      update();
      history.tick();
      recent.tick();
    }),
    on("event", (event) => {
      if (event.process !== name) return;
      history.happened(entry("event", event));
      recent.happened();
    }),
  ];
  const timer = setInterval(() => head.clock(live.processes.get(name)), 1000);
  return () => {
    for (const stop of stops) stop();
    clearInterval(timer);
    history.end();
    recent.end();
  };
}

/** Charts, marks, ranges, table: all that looks back. */
function makeHistory(name, query) {
  let range = RANGES[query.get("range")] ? query.get("range") : "1h";
  /** @type {[number, number]|null} */
  let zoomed = null;
  let series = null,
    marks = [],
    loadedAt = 0,
    askedAfter = null,
    asking = null,
    ended = false;

  const readout = h("p", { class: "readout" });
  const words = h("p", { class: "summary", id: "chart-summary" });
  const problem = h("p", { class: "problem", role: "status" });
  const charts = makeCharts({ zoom: (from, to) => zoom(from, to), hover });
  const lane = makeMarks(charts);
  const table = h("div", {
    class: "table-box",
    id: "chart-table",
    hidden: true,
    tabindex: "0",
    role: "region",
    "aria-label": "The charts as a table",
  });
  const ranges = Object.entries(RANGES).map(([key, [, text]]) =>
    h(
      "button",
      { type: "button", data: { range: key }, title: text, on: { click: () => choose(key) } },
      key.replace(/(\d+)/, "$1 "),
    ),
  );
  const tool = (label, text, action) =>
    h("button", { type: "button", "aria-label": label, title: label, on: { click: action } }, text);
  const liveButton = h("button", { type: "button", class: "follow", on: { click: () => choose(range) } }, "Live");
  const tableButton = h(
    "button",
    { type: "button", "aria-expanded": "false", "aria-controls": "chart-table", on: { click: toggle } },
    "Show as table",
  );
  const element = h(
    "section",
    { class: "card history", "aria-labelledby": "history-title", "aria-describedby": "chart-summary" },
    h(
      "div",
      { class: "history-head" },
      h("h2", { id: "history-title" }, "History"),
      h("div", { class: "segments", role: "group", "aria-label": "Stretch of time" }, ranges),
      h(
        "div",
        { class: "segments", role: "group", "aria-label": "Zoom" },
        tool("Earlier", "←", () => move(-0.5)),
        tool("Later", "→", () => move(0.5)),
        tool("Zoom in", "+", () => scale(0.5)),
        tool("Zoom out", "−", () => scale(2)),
        liveButton,
      ),
      tableButton,
    ),
    problem,
    readout,
    h("div", { class: "chart-stack" }, charts.element, lane.element),
    words,
    table,
  );

  const span = () => RANGES[range][0];
  const shown = () => zoomed ?? [now() - span(), now()];

  function choose(key) {
    range = key;
    zoomed = null;
    window.history.replaceState(
      null,
      "",
      `#/process/${encodeURIComponent(name)}${key === "1h" ? "" : `?range=${key}`}`,
    );
    load();
  }

  function zoom(from, to) {
    const middle = (from + to) / 2,
      half = Math.max(SHORTEST_MS, to - from) / 2;
    zoomed = [middle - half, middle + half];
    load();
  }

  function scale(factor) {
    const [from, to] = shown(),
      half = ((to - from) * factor) / 2;
    zoom((from + to) / 2 - half, Math.min((from + to) / 2 + half, now()));
  }

  function move(part) {
    const [from, to] = shown(),
      by = Math.min((to - from) * part, now() - to);
    zoom(from + by, to + by);
  }

  function toggle() {
    table.hidden = !table.hidden;
    tableButton.setAttribute("aria-expanded", String(!table.hidden));
    setText(tableButton, table.hidden ? "Show as table" : "Hide table");
    if (!table.hidden && series) fill(table, seriesTable(series));
  }

  function hover(index, inGap) {
    if (index === null || !series || series.at_ms[index] === undefined) {
      idle();
      return;
    }
    if (inGap) {
      setText(readout, `No data from ${clock(series.at_ms[index])} to ${clock(series.at_ms[index + 1])}`);
      return;
    }
    const parts = [clock(series.at_ms[index])];
    series.signals.forEach((signal, i) => {
      const { mean, failures } = series.readings[i];
      parts.push(mean[index] === null && failures[index] ? "no reading" : withUnit(mean[index], signal.unit));
    });
    parts.push(
      `${number(series.running[index])} running`,
      `${number(series.wanted[index])} wanted`,
      `allowed ${number(series.min[index])}–${number(series.max[index])}`,
    );
    setText(readout, parts.join("  ·  "));
  }

  function idle() {
    const [from, to] = shown();
    setText(
      readout,
      zoomed ? `${clock(from)} to ${clock(to)}` : "Point at a chart for its numbers, drag across it to zoom.",
    );
  }

  function draw() {
    const [from, to] = shown();
    const step = usualStep(series, live.processes.get(name));
    charts.show(series, step, from, to);
    lane.show(marks);
    setText(words, summary(series, marks, to - from, !zoomed, step));
    for (const button of ranges) button.setAttribute("aria-pressed", String(!zoomed && button.dataset.range === range));
    liveButton.setAttribute("aria-pressed", String(!zoomed));
  }

  async function load() {
    asking?.abort();
    const mine = (asking = new AbortController());
    const [from, to] = shown();
    element.setAttribute("aria-busy", "true");
    loadedAt = Date.now();
    try {
      const [nextSeries, nextMarks] = await Promise.all([
        loadSeries(live.processes.get(name), from, to, mine.signal),
        loadMarks(name, from, to, mine.signal),
      ]);
      if (ended || mine !== asking) return;
      series = nextSeries;
      marks = nextMarks;
      setText(problem, storeOff() ? "History is off: the charts begin when this page was opened." : "");
      idle();
      draw();
    } catch (error) {
      if (error.name !== "AbortError" && !ended) setText(problem, `The history cannot be shown: ${error.message}.`);
    } finally {
      if (mine === asking) element.removeAttribute("aria-busy");
    }
  }

  const resized = new ResizeObserver(() => lane.place());
  return {
    element,
    start() {
      idle();
      load();
      resized.observe(lane.element);
    },
    tick() {
      if (!series || zoomed) return;
      const newest = live.processes.get(name),
        before = series.at_ms.at(-1);
      append(series, newest, now() - span());
      draw();
      // The line or this page may have stood still and the program not; the store knows. It is asked once for each gap.
      const last = series.at_ms.length - 1,
        isNew = series.at_ms[last] !== before;
      const isGap = isNew && before !== askedAfter && isAfterGap(series, last, usualStep(series, newest));
      if (isGap) askedAfter = before;
      if (isGap || Date.now() - loadedAt > Math.max(RELOAD_MS, series.step_seconds * 1000)) load();
    },
    /** A new event, at once; decisions follow when the series is asked for again. */
    happened(one) {
      if (zoomed || marks.some((known) => known.key === one.key)) return;
      marks = [...marks, one];
      if (series) draw();
    },
    end() {
      ended = true;
      asking?.abort();
      resized.disconnect();
      charts.end();
    },
  };
}
