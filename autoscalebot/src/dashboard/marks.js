// The lane of marks between the charts: what was decided and what happened, each a button that explains itself.
//
// One stop for the tab key, arrow keys inside. What would overlap becomes one mark with a number, so that each is large
// enough for a finger. Marks keep their elements while time moves on, so focus is never lost to a tick.
import { fill, h, icon, setText } from "./dom.js";
import { inOneLine } from "./entries.js";
import { clock, second } from "./words.js";

/** The smallest target that WCAG 2.2 allows, in pixels. */
const WIDTH = 24;
/** More would not fit a tooltip; the list below has all. */
const TOLD = 5;
/** What a group looks like is what its most telling member looks like. */
const WEIGHT = ["bad", "limit", "up", "down", "hand", "rest", "info", "quiet"];

/** As much as fits a mark. */
const shownCount = (many) => (many > 99 ? "99+" : String(many));

/** @param {{left: (at: number) => number, point: (at: number|null) => void}} charts */
export function makeMarks(charts) {
  const tip = h("div", { class: "tip", role: "tooltip", id: "mark-tip", hidden: true });
  const lane = h("div", {
    class: "lane",
    role: "toolbar",
    "aria-label": "Marks on the charts; arrow keys go from one to the next",
  });
  const element = h("div", { class: "lane-box" }, lane, tip);
  /** @type {Map<string, HTMLButtonElement>} */
  const buttons = new Map();
  let entries = [],
    groups = [];

  function explain(group) {
    tip.hidden = false;
    fill(
      tip,
      group.entries
        .slice(-TOLD)
        .reverse()
        .map((one) =>
          h(
            "p",
            {},
            h("b", {}, one.what),
            h("span", {}, one.why || one.facts.map((fact) => `${fact.label}: ${fact.text}`).join(". ")),
            h("small", {}, clock(one.at)),
          ),
        ),
      group.entries.length > TOLD
        ? h("p", { class: "tip-more" }, `and ${group.entries.length - TOLD} more, in the list below`)
        : null,
    );
    const room = element.clientWidth;
    const wide = Math.min(340, room - 8);
    tip.style.width = `${wide}px`;
    tip.style.left = `${Math.min(Math.max(4, group.left - wide / 2), room - wide - 4)}px`;
    charts.point(group.at);
  }

  /** The mark that had the focus when all marks went away for a moment. */
  let orphan;
  const isNowhere = (element) => !element || element === document.body;

  function silence() {
    tip.hidden = true;
    charts.point(null);
  }

  function make(key) {
    const sign = h("span", { class: "mark-sign" });
    const find = () => groups.find((group) => group.key === key);
    const button = /** @type {HTMLButtonElement} */ (
      h(
        "button",
        {
          type: "button",
          class: "mark",
          tabindex: "-1",
          data: { mark: "" },
          "aria-describedby": "mark-tip",
          on: {
            mouseenter: () => explain(find()),
            focus: () => explain(find()),
            click: () => {
              button.focus();
              explain(find());
            },
            mouseleave: silence,
            blur: silence,
          },
        },
        sign,
      )
    );
    return button;
  }

  lane.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      silence();
      return;
    }
    const at = groups.findIndex((group) => buttons.get(group.key) === document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: groups.length - 1 }[event.key];
    if (to === undefined || !groups[to]) return;
    event.preventDefault();
    for (const button of buttons.values()) button.tabIndex = -1;
    const button = buttons.get(groups[to].key);
    button.tabIndex = 0;
    button.focus();
  });

  function dress(button, group) {
    const tone = WEIGHT.find((name) => group.entries.some((one) => one.tone === name)) ?? "info";
    const many = group.entries.length;
    const looks = `${tone} ${many}`;
    if (button.dataset.looks !== looks) {
      button.dataset.looks = looks;
      button.dataset.tone = tone;
      const shown = group.entries.find((one) => one.tone === tone) ?? group.entries[0];
      fill(button.firstChild, many > 1 ? shownCount(many) : icon(shown.sign));
      const last = group.entries[many - 1];
      button.setAttribute(
        "aria-label",
        many > 1
          ? `${shownCount(many)} entries, ${second(group.entries[0].at)} to ${second(last.at)}: ${group.entries
              .slice(-TOLD)
              .map((one) => one.what)
              .join("; ")}`
          : inOneLine(shown),
      );
    }
    button.style.left = `${group.left - WIDTH / 2}px`;
  }

  function place() {
    groups = [];
    const right = element.clientWidth;
    for (const one of entries) {
      const left = charts.left(Date.parse(one.at));
      const last = groups.at(-1);
      if (last && left - last.left < WIDTH) last.entries.push(one);
      else if (left >= WIDTH && left <= right)
        groups.push({ key: one.key, left, at: Date.parse(one.at), entries: [one] });
    }
    const focused = document.activeElement;
    const focusedKey = [...buttons].find(([, button]) => button === focused)?.[0] ?? orphan;
    orphan = undefined;
    const wanted = new Set(groups.map((group) => group.key));
    for (const [key, button] of buttons)
      if (!wanted.has(key)) {
        button.remove();
        buttons.delete(key);
      }
    for (const group of groups) {
      let button = buttons.get(group.key);
      if (!button) {
        button = make(group.key);
        buttons.set(group.key, button);
      }
      dress(button, group);
    }
    const order = groups.map((group) => buttons.get(group.key));
    if (order.some((button, i) => lane.children[i] !== button)) lane.replaceChildren(...order);
    if (focusedKey !== undefined && !lane.contains(document.activeElement) && isNowhere(document.activeElement)) {
      // Time moves on and marks run together: whoever was on one is now on the one that it went into.
      const heir = groups.find((group) => group.entries.some((one) => one.key === focusedKey)) ?? groups.at(-1);
      if (heir) buttons.get(heir.key).focus();
      else orphan = focusedKey;
    }
    if (!order.some((button) => button.tabIndex === 0) && order.length) order.at(-1).tabIndex = 0;
    setText(none, order.length ? "" : "Nothing was scaled and nothing happened in this time.");
  }

  const none = h("p", { class: "lane-none" });
  element.append(none);

  return {
    element,
    /** @param {any[]} next oldest first */
    show(next) {
      entries = next;
      place();
    },
    place,
  };
}
