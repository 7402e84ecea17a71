// All processes at a glance: how many run, and why.
//
// Good with one process (a large card) and with a thousand (a dense list that the browser only lays out where it is
// seen). Rows are made once and then changed in place. The order follows a choice, never a tick: a list that moves under
// the hand is worse than one that is a little old.
import { fill, h, icon, select, setAttribute, setIcon, setText } from "./dom.js";
import { live, mayOperate, now, on } from "./live.js";
import { openCommand } from "./commands.js";
import { readingView } from "./reading.js";
import { GROUPS, lastScale, modeSentence, nextTick, number, statusOf, why } from "./words.js";

/** Up to this many processes there is room for large cards. */
const ROOMY = 6;
/** More signals than this are counted, not shown; the page of the process shows all. */
const SIGNALS = 2;

const SORTS = {
  name: ["Name", (a, b) => a.name.localeCompare(b.name, "en", { numeric: true })],
  status: ["Needs attention first", (a, b) => rank(a) - rank(b)],
  running: ["Most running", (a, b) => (b.running ?? -1) - (a.running ?? -1)],
  scaled: ["Newest scale", (a, b) => (b.last_scale?.at ?? "").localeCompare(a.last_scale?.at ?? "")],
};

const rank = (process) => GROUPS.findIndex(([group]) => group === statusOf(process).group);

/** One row, and how to change it. */
function makeRow(name) {
  const link = h("a", { href: `#/process/${encodeURIComponent(name)}` }, name);
  const statusIcon = icon("clock"), statusText = h("span", {});
  const status = h("span", { class: "badge" }, statusIcon, statusText);
  const dry = h("span", { class: "badge plain" }, "Dry run");
  const running = h("b", { class: "count" }), of = h("span", { class: "of" });
  const reason = h("p", { class: "why" }), mode = h("p", { class: "mode" });
  const readings = h("div", { class: "readings" });
  const views = [];
  const more = h("span", { class: "more" });
  const next = h("span", {}), last = h("span", {});
  const element = h("li", { class: "row" },
    h("div", { class: "who" }, h("h2", {}, link), status, dry),
    h("div", { class: "running" }, running, of),
    h("div", { class: "reason" }, reason, mode),
    readings,
    h("dl", { class: "times" }, h("div", {}, h("dt", {}, "Next look"), h("dd", {}, next)), h("div", {}, h("dt", {}, "Last scale"), h("dd", {}, last))));

  const row = {
    element, process: null,
    update(process) {
      row.process = process;
      const { text, icon: sign, tone } = statusOf(process);
      setText(statusText, text);
      setIcon(statusIcon, sign);
      setAttribute(status, "data-tone", tone);
      dry.hidden = !process.dry_run;
      setText(running, number(process.running));
      setText(of, process.min === process.max ? `running, fixed` : `running of ${process.min}–${process.max}`);
      setText(reason, why(process));
      const ordered = modeSentence(process);
      setText(mode, ordered ?? "");
      mode.hidden = ordered === null;
      const some = process.signals.slice(0, SIGNALS);
      while (views.length < some.length) {
        views.push(readingView());
        readings.insertBefore(views.at(-1).element, more.parentNode ? more : null);
      }
      while (views.length > some.length) views.pop().element.remove();
      some.forEach((signal, i) => views[i].update(signal));
      const hidden = process.signals.length - some.length;
      if (hidden > 0 && !more.parentNode) readings.append(more);
      setText(more, hidden > 0 ? `and ${hidden} more` : "");
      row.clock();
    },
    clock() {
      setText(next, nextTick(row.process, now()));
      setText(last, lastScale(row.process, now()));
    },
  };
  return row;
}

/** @param {HTMLElement} main */
export function overview(main, _name, query) {
  const rows = new Map();
  const list = h("ul", { class: "rows" });
  const nothing = h("p", { class: "empty", hidden: true }, "No process fits. ", h("button", { type: "button", class: "link", on: { click: clear } }, "Show all"));
  const search = h("input", { type: "search", placeholder: "Filter by name or reason", "aria-label": "Filter by name or reason", value: query.get("q") ?? "" });
  const sort = select(Object.entries(SORTS).map(([key, [text]]) => [key, text]), SORTS[query.get("sort")] ? query.get("sort") : "name", { "aria-label": "Sort by" });
  const chips = h("div", { class: "chips", role: "group", "aria-label": "Filter by status" });
  const summary = h("p", { class: "sub", "aria-live": "off" });
  let group = query.get("status") ?? "";

  const all = h("div", { class: "buttons" });
  if (mayOperate() && live.processes.size > 1) {
    for (const [command, text, sign] of [["pause", "Pause all", "pause"], ["resume", "Resume all", "retry"]]) {
      all.append(h("button", { type: "button", on: { click: () => openCommand(command, null) } }, icon(sign), h("span", {}, text)));
    }
  }
  const tools = h("div", { class: "tools" }, search, chips, h("label", { class: "sort" }, h("span", {}, "Sort by"), sort));
  tools.hidden = live.processes.size < 2;
  fill(main, h("div", { class: "page-head" }, h("div", {}, h("h1", { tabindex: "-1" }, "Processes"), summary), all), tools, list, nothing);

  const chipButtons = [["", "All"], ...GROUPS].map(([key, text]) => {
    const n = h("b", {});
    const button = h("button", { type: "button", class: "chip", on: { click: () => { group = key; arrange(); } } }, h("span", {}, text), n);
    chips.append(button);
    return { key, n, button };
  });

  function clear() {
    search.value = "";
    group = "";
    arrange();
    search.focus();
  }

  function count() {
    const of = new Map();
    let running = 0;
    for (const process of live.processes.values()) {
      const key = statusOf(process).group;
      of.set(key, (of.get(key) ?? 0) + 1);
      running += process.running ?? 0;
    }
    for (const { key, n, button } of chipButtons) {
      setText(n, String(key ? of.get(key) ?? 0 : live.processes.size));
      setAttribute(button, "aria-pressed", String(group === key));
      setAttribute(button, "data-some", key === "attention" && of.get(key) ? "true" : null);
    }
    const attention = of.get("attention") ?? 0;
    const size = live.processes.size;
    setText(summary, `${number(running)} running in ${size === 1 ? "1 process" : `${number(size)} processes`}${attention ? ` · ${attention} ${attention === 1 ? "needs" : "need"} attention` : ""}`);
  }

  const fits = (process, words) =>
    (!group || statusOf(process).group === group) &&
    words.every((word) => process.name.toLowerCase().includes(word) || why(process).toLowerCase().includes(word));

  /** Puts the rows in order and shows those that fit. */
  function arrange() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const fitting = [...live.processes.values()].filter((process) => fits(process, words));
    fitting.sort(SORTS.name[1]);
    if (sort.value !== "name") fitting.sort(SORTS[sort.value][1]);
    const elements = fitting.map((process) => {
      let row = rows.get(process.name);
      if (!row) {
        row = makeRow(process.name);
        rows.set(process.name, row);
      }
      if (row.process !== process) row.update(process);
      return row.element;
    });
    list.replaceChildren(...elements);
    list.dataset.size = live.processes.size <= ROOMY ? "roomy" : "dense";
    nothing.hidden = fitting.length > 0;
    if (live.processes.size === 0) fill(nothing, "No process is configured.");
    count();
    const state = new URLSearchParams();
    if (search.value) state.set("q", search.value);
    if (group) state.set("status", group);
    if (sort.value !== "name") state.set("sort", sort.value);
    history.replaceState(null, "", `#/${state.size ? `?${state}` : ""}`);
  }

  function changed(names) {
    if (names === null) { arrange(); return; }
    for (const name of names) {
      const process = live.processes.get(name);
      const row = rows.get(name);
      if (row) row.update(process);
      else { arrange(); return; }
    }
    count();
  }

  search.addEventListener("input", arrange);
  sort.addEventListener("change", arrange);
  arrange();
  const stop = on("processes", changed);
  const clock = setInterval(() => { for (const row of rows.values()) if (row.element.isConnected) row.clock(); }, 1000);
  return () => { stop(); clearInterval(clock); };
}
