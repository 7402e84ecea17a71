// The journal: every decision and every event, newest first, to be filtered and linked to.
//
// Its question is "why did it scale at 3 a.m.?": choose "Around a time" and read. What is chosen is in the address, with
// times in UTC, so that a link means the same moment everywhere.
import { get } from "./api.js";
import { field, fill, h, select, setText } from "./dom.js";
import { entry, KINDS, makeFolding, repeatsDecision } from "./entries.js";
import { live, now, on, storeOff } from "./live.js";
import { day } from "./words.js";

const PAGE = 50;
/** Of the API, for one press of "Older". */
const MOST_PAGES = 5;
const HALF_HOUR = 1_800_000;
const WHEN = [
  ["", "Any time"],
  ["1h", "The last hour"],
  ["24h", "The last 24 hours"],
  ["around", "Around a time"],
  ["between", "Between two times"],
];

/** What may be chosen under "Show" → what is asked for. */
const SHOW = {
  "": {},
  decisions: { decisions: {} },
  up: { decisions: { direction: "up" } },
  down: { decisions: { direction: "down" } },
  stay: { decisions: { direction: "stay" } },
  events: { events: [{}] },
  problems: { events: [{ severity: "warning" }, { severity: "error" }] },
  errors: { events: [{ severity: "error" }] },
};

/** `<input type=datetime-local>` speaks local time without a zone. */
function toLocal(iso) {
  const at = new Date(iso);
  return Number.isNaN(at.getTime())
    ? ""
    : new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
const toUtc = (local) => (local ? new Date(local).toISOString() : "");

/** One cursor of the API, read a page at a time. */
function source(path, kind, query, keep) {
  let held = [],
    before = null,
    more = true;
  return {
    async peek() {
      while (!held.length && more) {
        const page = await get(path, { ...query, limit: PAGE, before });
        held = page[path].filter(keep).map((item) => entry(kind, item));
        before = page.next;
        more = before !== null;
      }
      return held[0];
    },
    take: () => held.shift(),
  };
}

/** @param {HTMLElement} main */
export function journal(main, _name, query) {
  let ended = false,
    run = 0,
    stale = false,
    sources = [],
    fresh = 0,
    lastDay = "",
    folding = makeFolding();

  const names = h(
    "datalist",
    { id: "process-names" },
    [...live.processes.keys()].map((name) => h("option", { value: name })),
  );
  const process = h("input", {
    type: "search",
    list: "process-names",
    autocomplete: "off",
    placeholder: "All",
    value: query.get("process") ?? "",
  });
  const group = (label, options) =>
    h(
      "optgroup",
      { label },
      options.map(([value, text]) => h("option", { value }, text)),
    );
  const show = h(
    "select",
    {},
    h("option", { value: "" }, "Everything"),
    group("Decisions", [
      ["decisions", "All decisions"],
      ["up", "Up"],
      ["down", "Down"],
      ["stay", "Stay"],
    ]),
    group("Events", [
      ["events", "All events"],
      ["problems", "Warnings and errors"],
      ["errors", "Errors"],
    ]),
    group("Events of one kind", Object.entries(KINDS)),
  );
  show.value = query.get("show") ?? "";
  if (show.selectedIndex < 0) show.value = "";
  const when = select(
    WHEN,
    query.has("around") ? "around" : query.has("from") || query.has("to") ? "between" : (query.get("last") ?? ""),
  );
  const around = h("input", { type: "datetime-local", value: toLocal(query.get("around") ?? now() - 3_600_000) });
  const from = h("input", { type: "datetime-local", value: toLocal(query.get("from") ?? now() - 86_400_000) });
  const to = h("input", { type: "datetime-local", value: toLocal(query.get("to") ?? now()) });
  const changed = h("input", { type: "checkbox", checked: query.get("all") !== "1" });
  const aroundField = field("Time", around, "Half an hour before and after.");
  const fromField = field("From", from),
    toField = field("To", to);
  const list = h("ol", { class: "entries" });
  const note = h("p", { class: "note", role: "status" });
  const older = h("button", { type: "button", on: { click: () => more(run) } }, "Older");
  const newer = h("button", { type: "button", class: "newer", on: { click: reload } });
  const form = h(
    "form",
    { class: "filters", "aria-label": "Filter", on: { submit: (event) => event.preventDefault(), change: reload } },
    field("Process", process),
    names,
    field("Show", show),
    field("When", when),
    h("label", { class: "check" }, changed, "Only changes"),
    aroundField,
    fromField,
    toField,
  );
  const newerBox = h("div", { class: "newer-box" }, newer);
  fill(
    main,
    h(
      "div",
      { class: "page-head" },
      h(
        "div",
        {},
        h("h1", { tabindex: "-1" }, "Journal"),
        h("p", { class: "sub" }, "What was decided, what happened, and why."),
      ),
      newerBox,
    ),
    form,
    h("section", { class: "card", "aria-label": "Entries" }, note, list, h("div", { class: "older-box" }, older)),
  );

  /** The stretch of time that is asked for. */
  function stretch() {
    if (when.value === "around" && around.value) {
      const at = Date.parse(toUtc(around.value));
      return { from: new Date(at - HALF_HOUR).toISOString(), to: new Date(at + HALF_HOUR).toISOString() };
    }
    if (when.value === "between") return { from: toUtc(from.value), to: toUtc(to.value) };
    const hours = { "1h": 1, "24h": 24 }[when.value];
    return hours ? { from: new Date(now() - hours * 3_600_000).toISOString() } : {};
  }

  function remember() {
    const state = new URLSearchParams();
    if (process.value.trim()) state.set("process", process.value.trim());
    if (show.value) state.set("show", show.value);
    if (when.value === "around") state.set("around", toUtc(around.value));
    else if (when.value === "between") {
      state.set("from", toUtc(from.value));
      state.set("to", toUtc(to.value));
    } else if (when.value) state.set("last", when.value);
    if (!changed.checked) state.set("all", "1");
    history.replaceState(null, "", `#/journal${state.size ? `?${state}` : ""}`);
  }

  function reload() {
    aroundField.hidden = when.value !== "around";
    fromField.hidden = toField.hidden = when.value !== "between";
    remember();
    run += 1;
    fresh = 0;
    lastDay = "";
    folding = makeFolding();
    newer.hidden = true;
    stale = true;
    list.setAttribute("aria-busy", "true");
    const common = { process: process.value.trim(), ...stretch() };
    const wanted = SHOW[show.value] ?? { events: [{ kind: show.value }] };
    const everything = show.value === "";
    const decisions = everything ? {} : wanted.decisions;
    const events = everything ? [{}] : (wanted.events ?? []);
    sources = events.map((more) =>
      source("events", "event", { ...common, ...more }, (event) => !everything || !repeatsDecision(event)),
    );
    if (decisions)
      sources.push(
        source("decisions", "decision", { ...common, ...decisions, changed: changed.checked || null }, () => true),
      );
    if (storeOff()) {
      fromMemory(common, everything, wanted);
      return;
    }
    more(run);
  }

  /** Without a store there is only what this page has heard. */
  function fromMemory(common, everything, wanted) {
    older.hidden = true;
    const start = common.from ? Date.parse(common.from) : -Infinity,
      end = common.to ? Date.parse(common.to) : Infinity;
    const kinds = everything ? [{}] : (wanted.events ?? []);
    const fits = (event) =>
      (!common.process || event.process === common.process) &&
      Date.parse(event.at) >= start &&
      Date.parse(event.at) <= end &&
      kinds.some(({ kind, severity }) => (!kind || event.kind === kind) && (!severity || event.severity === severity));
    const found = live.events.filter(fits);
    add(found.map((event) => entry("event", event)));
    setText(
      note,
      `History is off: only events since this page was opened${found.length ? "" : ", and there are none that fit"}. Decisions are not kept.`,
    );
  }

  /** What was there stays until its successor comes, so that the page does not collapse in between. */
  function add(entries) {
    if (stale) list.replaceChildren();
    stale = false;
    list.removeAttribute("aria-busy");
    let rows = 0;
    for (const one of entries) {
      const row = folding.row(one, true);
      if (!row) continue;
      rows += 1;
      const today = day(one.at);
      if (today !== lastDay) list.append(h("li", { class: "day" }, h("h2", {}, today)));
      lastDay = today;
      list.append(row);
    }
    return rows;
  }

  async function more(mine) {
    older.disabled = true;
    try {
      let rows = 0,
        rest = true;
      // A page may fold into few rows; asking for some pages more is kinder than a list of two.
      for (let pages = 0; rows < PAGE && rest && pages < MOST_PAGES; pages += 1) {
        const page = [];
        while (page.length < PAGE) {
          const heads = await Promise.all(sources.map((one) => one.peek()));
          const newest = heads.reduce((best, one, i) => (one && (best < 0 || one.at > heads[best].at) ? i : best), -1);
          if (newest < 0) break;
          page.push(sources[newest].take());
        }
        rest = (await Promise.all(sources.map((one) => one.peek()))).some(Boolean);
        if (ended || mine !== run) return;
        rows += add(page);
      }
      older.hidden = !rest;
      setText(
        note,
        list.childElementCount
          ? ""
          : changed.checked
            ? "Nothing fits. “Only changes” leaves out the looks after which nothing was scaled."
            : "Nothing fits.",
      );
    } catch (error) {
      if (ended || mine !== run) return;
      add([]);
      setText(note, `The journal cannot be read: ${error.message}.`);
    } finally {
      older.disabled = false;
    }
  }

  older.hidden = newer.hidden = true;
  reload();
  const stop = on("event", (event) => {
    if (when.value === "around" || when.value === "between" || (process.value && process.value !== event.process))
      return;
    fresh += 1;
    newer.hidden = false;
    setText(newer, `${fresh} new, show`);
  });
  return () => {
    ended = true;
    stop();
  };
}
