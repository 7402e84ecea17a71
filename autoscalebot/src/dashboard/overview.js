// All processes at a glance: how many run, and why.
//
// Good with one process (a large card) and with a thousand (a dense list that the browser only lays out where it is
// seen). Rows are made once and then changed in place. The order follows a choice, never a tick: a list that moves under
// the hand is worse than one that is a little old.
import { fill, h, icon, select, setAttribute, setIcon, setText } from "./dom.js";
import { live, mayOperate, now, on } from "./live.js";
import { openCommand } from "./commands.js";
import { readingView } from "./reading.js";
import { recentList } from "./recent.js";
import { bounds, GROUPS, lastScale, modeSentence, nextTick, number, statusOf, why } from "./words.js";

/** Up to this many processes there is room for large cards. */
const ROOMY = 6;
/** From here on, rows are laid out only where they are seen. */
const MANY = 60;
/** Rows that fill the tallest screen, and how many more are made in each frame after. */
const FIRST_SCREEN = 40,
  A_FRAME = 60;
/** More signals than this are counted, not shown; the page of the process shows all. */
const SIGNALS = 2;

const SORTS = {
  name: ["Name", (a, b) => a.name.localeCompare(b.name, "en", { numeric: true })],
  status: ["Needs attention first", (a, b) => rank(a) - rank(b)],
  running: ["Most running", (a, b) => (b.running ?? -1) - (a.running ?? -1)],
  scaled: ["Newest scale", (a, b) => (b.last_scale?.at ?? "").localeCompare(a.last_scale?.at ?? "")],
};

const rank = (process) => GROUPS.findIndex(([group]) => group === statusOf(process).group);

/** A row without words. Cloning it is several times as fast as making each of its elements anew. */
const model = h(
  "li",
  { class: "row" },
  h(
    "div",
    { class: "who" },
    h("h2", {}, h("a", { data: { part: "link" } })),
    h("span", { class: "badge", data: { part: "status" } }, icon("clock"), h("span", { data: { part: "statusText" } })),
  ),
  h(
    "div",
    { class: "running" },
    h(
      "div",
      { class: "now" },
      h("b", { class: "count", data: { part: "running" } }),
      h("span", { data: { part: "unit" } }),
    ),
    h("span", { class: "of", data: { part: "of" } }),
  ),
  h(
    "div",
    { class: "reason" },
    h("p", { class: "why", data: { part: "reason" } }),
    h("p", { class: "mode", data: { part: "mode" }, hidden: true }),
  ),
  h("div", { class: "readings", data: { part: "readings" } }),
  h(
    "dl",
    { class: "times" },
    h("div", {}, h("dt", {}, "Next look"), h("dd", { data: { part: "next" } })),
    h("div", {}, h("dt", {}, "Last scale"), h("dd", { data: { part: "last" } })),
  ),
);

/** One row, and how to change it. */
function makeRow(name) {
  const element = /** @type {HTMLElement} */ (model.cloneNode(true));
  /** @type {Record<string, HTMLElement>} */
  const part = {};
  for (const one of element.querySelectorAll("[data-part]")) part[one.dataset.part] = one;
  const { link, status, statusText, running, unit, of, reason, mode, readings, next, last } = part;
  link.href = `#/process/${encodeURIComponent(name)}`;
  link.textContent = name;
  const views = [],
    more = h("span", { class: "more" });

  const row = {
    element,
    process: null,
    update(process) {
      row.process = process;
      const { text, icon: sign, tone } = statusOf(process);
      setText(statusText, text);
      setIcon(status.firstChild, sign);
      setAttribute(status, "data-tone", tone);
      setText(running, process.running === null ? "?" : number(process.running));
      setText(unit, process.running === null ? "unknown" : "running");
      setText(of, `${bounds(process)} allowed`);
      setText(reason, why(process));
      const special = [process.dry_run ? "Dry run: nothing is scaled" : null, modeSentence(process)]
        .filter(Boolean)
        .join(". ");
      setText(mode, special);
      mode.hidden = special === "";
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
  const nothing = h(
    "p",
    { class: "empty", hidden: true },
    "No process fits. ",
    h("button", { type: "button", class: "link", on: { click: clear } }, "Show all"),
  );
  const search = h("input", {
    type: "search",
    placeholder: "Filter by name or reason",
    "aria-label": "Filter by name or reason",
    value: query.get("q") ?? "",
  });
  const sort = select(
    Object.entries(SORTS).map(([key, [text]]) => [key, text]),
    SORTS[query.get("sort")] ? query.get("sort") : "name",
    { "aria-label": "Sort by" },
  );
  const chips = h("div", { class: "chips", role: "group", "aria-label": "Filter by status" });
  const summary = h("p", { class: "sub", "aria-live": "off" });
  let group = query.get("status") ?? "",
    building = 0;

  const all = h("div", { class: "buttons" });
  if (mayOperate() && live.processes.size > 1) {
    for (const [command, text, sign] of [
      ["pause", "Pause all", "pause"],
      ["resume", "Resume all", "retry"],
    ]) {
      all.append(
        h(
          "button",
          { type: "button", on: { click: () => openCommand(command, null) } },
          icon(sign),
          h("span", {}, text),
        ),
      );
    }
  }
  const tools = h(
    "div",
    { class: "tools" },
    search,
    chips,
    h("label", { class: "sort" }, h("span", {}, "Sort by"), sort),
  );
  tools.hidden = live.processes.size < 2;
  fill(
    main,
    h("div", { class: "page-head" }, h("div", {}, h("h1", { tabindex: "-1" }, "Processes"), summary), all),
    tools,
    list,
    nothing,
  );

  const chipButtons = [["", "All"], ...GROUPS].map(([key, text]) => {
    const n = h("b", {});
    const button = h(
      "button",
      {
        type: "button",
        class: "chip",
        on: {
          click: () => {
            group = key;
            filter();
          },
        },
      },
      h("span", {}, text),
      n,
    );
    chips.append(button);
    return { key, n, button };
  });

  function clear() {
    search.value = "";
    group = "";
    filter();
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
      setText(n, String(key ? (of.get(key) ?? 0) : live.processes.size));
      setAttribute(button, "aria-pressed", String(group === key));
      setAttribute(button, "data-some", key === "attention" && of.get(key) ? "true" : null);
    }
    const attention = of.get("attention") ?? 0;
    const size = live.processes.size;
    setText(
      summary,
      `${number(running)} running in ${size === 1 ? "1 process" : `${number(size)} processes`}${attention ? ` · ${attention} ${attention === 1 ? "needs" : "need"} attention` : ""}`,
    );
  }

  const fits = (process, words) =>
    (!group || statusOf(process).group === group) &&
    words.every((word) => process.name.toLowerCase().includes(word) || why(process).toLowerCase().includes(word));

  /** The rows of all processes in the chosen order; the first screen at once, the others frame by frame. */
  function arrange() {
    const processes = [...live.processes.values()].sort(SORTS.name[1]);
    if (sort.value !== "name") processes.sort(SORTS[sort.value][1]);
    list.dataset.size = processes.length <= ROOMY ? "roomy" : "dense";
    list.toggleAttribute("data-many", processes.length > MANY);
    list.replaceChildren();
    cancelAnimationFrame(building);
    let done = 0;
    const build = () => {
      const some = processes.slice(done, done + (done ? A_FRAME : FIRST_SCREEN));
      done += some.length;
      list.append(
        ...some.map((process) => {
          let row = rows.get(process.name);
          if (!row) {
            row = makeRow(process.name);
            rows.set(process.name, row);
          }
          const newest = live.processes.get(process.name) ?? process;
          if (row.process !== newest) row.update(newest);
          row.element.hidden = !fits(newest, words());
          return row.element;
        }),
      );
      building = done < processes.length ? requestAnimationFrame(build) : 0;
    };
    build();
    filter();
  }

  const words = () => search.value.toLowerCase().split(/\s+/).filter(Boolean);

  /** Shows the rows that fit; those that do not stay where they are, hidden, so that typing moves nothing about. */
  function filter() {
    const wanted = words();
    let any = false;
    for (const process of live.processes.values()) {
      const fit = fits(process, wanted),
        row = rows.get(process.name);
      any ||= fit;
      if (row && row.element.hidden === fit) row.element.hidden = !fit;
    }
    nothing.hidden = any;
    list.hidden = !any;
    if (live.processes.size === 0) fill(nothing, "No process is configured.");
    count();
    const state = new URLSearchParams();
    if (search.value) state.set("q", search.value);
    if (group) state.set("status", group);
    if (sort.value !== "name") state.set("sort", sort.value);
    history.replaceState(null, "", `#/${state.size ? `?${state}` : ""}`);
  }

  function changed(names) {
    if (names === null) {
      arrange();
      return;
    }
    for (const name of names) {
      const process = live.processes.get(name);
      const row = rows.get(name);
      if (row) row.update(process);
      // A row that is still to be made takes the newest word then.
      else if (building === 0) {
        arrange();
        return;
      }
    }
    count();
  }

  search.addEventListener("input", filter);
  sort.addEventListener("change", arrange);
  arrange();
  // With a single process there is room for what it did lately, and nowhere else to look.
  const only = live.processes.size === 1 ? recentList([...live.processes.keys()][0]) : null;
  if (only) main.append(only.element);
  only?.start();
  const stops = [
    on("processes", (names) => {
      changed(names);
      if (names !== null) only?.tick();
    }),
    on("event", () => only?.happened()),
  ];
  const clock = setInterval(() => {
    for (const row of rows.values()) if (row.element.isConnected) row.clock();
  }, 1000);
  return () => {
    for (const stop of stops) stop();
    only?.end();
    clearInterval(clock);
    cancelAnimationFrame(building);
  };
}
