// What was decided and what happened lately, under the charts of one process.
//
// New entries come in at the top while nobody is reading; under the pointer or with the focus inside nothing moves.
import { get } from "./api.js";
import { fill, h, setText } from "./dom.js";
import { entry, makeFolding, repeatsDecision } from "./entries.js";
import { live, storeOff } from "./live.js";

const SHOWN = 20;
/** Every tick is a decision; asking for each at once would be a request a second. */
const ASK_EVERY_MS = 5000;

export function recentList(name) {
  let changedOnly = true,
    asked = 0,
    lastScale = null,
    later = null,
    ended = false,
    shown = "";
  const list = h("ol", { class: "entries" });
  const note = h("p", { class: "note" });
  const check = h("input", {
    type: "checkbox",
    checked: true,
    on: {
      change: () => {
        changedOnly = check.checked;
        load();
      },
    },
  });
  const element = h(
    "section",
    { class: "card recent", "aria-labelledby": "recent-title" },
    h(
      "div",
      { class: "history-head" },
      h("h2", { id: "recent-title" }, "Recently"),
      h("label", { class: "check" }, check, "Only changes"),
      h("a", { href: `#/journal?process=${encodeURIComponent(name)}` }, "Open in the journal"),
    ),
    note,
    list,
  );

  /** A finger leaves its "hover" behind, so that counts only where there is a pointer. */
  const isRead = () =>
    list.matches(":focus-within") || (matchMedia("(hover: hover)").matches && list.matches(":hover"));

  async function load() {
    asked = Date.now();
    try {
      const [decisions, events] = storeOff()
        ? [[], live.events.filter((event) => event.process === name)]
        : await Promise.all([
            get("decisions", { process: name, limit: SHOWN, changed: changedOnly || null }).then(
              (page) => page.decisions,
            ),
            get("events", { process: name, limit: SHOWN }).then((page) => page.events),
          ]);
      if (ended) return;
      if (shown && isRead()) {
        soon();
        return;
      }
      const all = [
        ...decisions.map((one) => entry("decision", one)),
        ...events.filter((one) => storeOff() || !repeatsDecision(one)).map((one) => entry("event", one)),
      ];
      all.sort((a, b) => b.at.localeCompare(a.at));
      all.length = Math.min(all.length, SHOWN);
      const key = all.map((one) => one.key + one.what).join();
      if (key === shown && shown) return;
      shown = key;
      const folding = makeFolding();
      fill(
        list,
        all.map((one) => folding.row(one, false)),
      );
      setText(
        note,
        storeOff()
          ? "History is off: only what happened since this page was opened."
          : all.length
            ? ""
            : "Nothing was scaled and nothing happened yet.",
      );
    } catch (error) {
      if (!ended) setText(note, `The list cannot be shown: ${error.message}.`);
    }
  }

  function soon() {
    if (later || ended) return;
    later = setTimeout(
      () => {
        later = null;
        if (!ended) load();
      },
      Math.max(300, asked + ASK_EVERY_MS - Date.now()),
    );
  }

  return {
    element,
    start() {
      lastScale = live.processes.get(name).last_scale?.at;
      load();
    },
    tick() {
      const newest = live.processes.get(name).last_scale?.at;
      if (!changedOnly || newest !== lastScale) soon();
      lastScale = newest;
    },
    happened: soon,
    end() {
      ended = true;
      clearTimeout(later);
    },
  };
}
