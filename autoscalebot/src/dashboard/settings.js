// The settings in force: path, value, and where each comes from. Nothing can be changed here; settings live in a file.
//
// A fleet of a thousand processes has tens of thousands of settings, so a process is filled in when it is opened or found.
import { get } from "./api.js";
import { fill, h, setText } from "./dom.js";
import { time } from "./words.js";

/** More found processes are counted, not opened. */
const MOST_OPENED = 20;

function sourceWords(source) {
  if (source === "default") return h("span", { class: "source muted" }, "default");
  return h("code", { class: "source" }, source);
}

function rows(found) {
  return h(
    "table",
    { class: "settings" },
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        ["Setting", "Value", "From"].map((text) => h("th", { scope: "col" }, text)),
      ),
    ),
    h(
      "tbody",
      {},
      found.map((one) =>
        h(
          "tr",
          { data: { set: String(one.source !== "default") } },
          h("th", { scope: "row" }, one.path),
          h("td", {}, h("code", {}, typeof one.value === "string" ? one.value : JSON.stringify(one.value))),
          h("td", {}, sourceWords(one.source)),
        ),
      ),
    ),
  );
}

/** @param {HTMLElement} main */
export function settings(main, _name, query) {
  let ended = false,
    all = [];
  const search = h("input", {
    type: "search",
    placeholder: "Search process, setting, value or source",
    "aria-label": "Search settings",
    value: query.get("q") ?? "",
  });
  const given = h("input", { type: "checkbox" });
  const note = h("p", { class: "note", role: "status" }, "Reading …");
  const list = h("div", { class: "settings-list" });
  fill(
    main,
    h(
      "div",
      { class: "page-head" },
      h(
        "div",
        {},
        h("h1", { tabindex: "-1" }, "Settings"),
        h("p", { class: "sub" }, "As in force now, each with the place it comes from. Secrets are not shown."),
      ),
    ),
    h("div", { class: "tools" }, search, h("label", { class: "check" }, given, "Without defaults")),
    note,
    list,
  );

  function section(process, found, open) {
    const box = h("div", {});
    const title = h(
      "summary",
      {},
      h("h2", {}, process.process),
      h("span", { class: "muted" }, `version ${process.version}, since `, time(process.since)),
      h("span", { class: "muted" }, `${found.length} settings`),
    );
    const details = h("details", { class: "card", open }, title, box);
    const show = () => {
      if (details.open && !box.firstChild) fill(box, rows(found));
    };
    details.addEventListener("toggle", show);
    show();
    return details;
  }

  function arrange() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = [];
    for (const process of all) {
      const fits = process.settings.filter(
        (one) =>
          (!given.checked || one.source !== "default") &&
          words.every((word) =>
            `${process.process} ${one.path} ${JSON.stringify(one.value)} ${one.source}`.toLowerCase().includes(word),
          ),
      );
      if (fits.length) found.push([process, fits]);
    }
    const searching = words.length > 0;
    fill(
      list,
      found.map(([process, fits], i) => section(process, fits, all.length === 1 || (searching && i < MOST_OPENED))),
    );
    setText(note, found.length ? "" : "No setting fits.");
    history.replaceState(null, "", `#/settings${search.value ? `?${new URLSearchParams({ q: search.value })}` : ""}`);
  }

  search.addEventListener("input", arrange);
  given.addEventListener("change", arrange);
  get("settings").then(
    (answer) => {
      if (ended) return;
      all = answer.processes;
      arrange();
    },
    (error) => setText(note, `The settings cannot be read: ${error.message}.`),
  );
  return () => {
    ended = true;
  };
}
