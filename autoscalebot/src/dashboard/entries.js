// How a decision or an event is told: a sign, when, what, and why.
//
// The journal, the list under a process and the marks on its charts use the same words, made here. What the API calls a
// reason is shown as it is; only the short "what" in front of it is ours.
import { fill, h, icon } from "./dom.js";
import { clock, number, time } from "./words.js";

/** Events that repeat what a decision in the same list already tells. */
const TOLD_BY_DECISIONS = new Set(["scaled_up", "scaled_down", "would_scale"]);

export const repeatsDecision = (event) => TOLD_BY_DECISIONS.has(event.kind);

/** Kinds of events, in words, for choosing. */
export const KINDS = {
  scaled_up: "Scaled up",
  scaled_down: "Scaled down",
  would_scale: "Would scale (dry run)",
  scale_failed: "Scaling failed",
  scale_recovered: "Scaling works again",
  measurement_failed: "Measurement failed",
  measurement_recovered: "Measurement works again",
  count_failed: "Count failed",
  count_recovered: "Count works again",
  count_changed_elsewhere: "Changed elsewhere",
  needs_exceeded_max: "Needs exceed the maximum",
  needs_below_min: "Needs are below the minimum",
  scaling_too_rapid: "Scaling too often",
  bot_panicked: "Bot crashed and restarted",
  settings_reloaded: "Settings reloaded",
  settings_rejected: "Settings rejected",
  commanded: "Ordered by a person",
  control_expired: "Pause or hold ended",
};

const HELD = {
  waiting: "the wait after the last scale is not over",
  backing_off: "the platform refused and is asked again later",
  busy: "nobody who may be working is stopped",
  paused: "it is paused",
};

/** @returns {{what: string, sign: string, tone: string}} */
function tellDecision(decision) {
  const { order, settled, running, wanted, held, limit } = decision;
  if (order) {
    const way = order.to > order.from ? "up" : "down";
    const move = `from ${order.from} to ${order.to}`;
    const cut = limit ? `, the ${limit === "max" ? "maximum" : "minimum"}` : "";
    if (settled === "failed") return { what: `Could not scale ${way} ${move}`, sign: "cross", tone: "bad" };
    if (settled === "dry_run") return { what: `Would scale ${way} ${move}${cut} (dry run)`, sign: way, tone: "rest" };
    if (settled === "already_there") return { what: `Already at ${order.to}`, sign: "check", tone: "rest" };
    if (settled === null) return { what: `Scaling ${way} ${move}${cut}`, sign: way, tone: way };
    return { what: `Scaled ${way} ${move}${cut}`, sign: way, tone: way };
  }
  if (held)
    return {
      what: `Stayed at ${number(running)}, wanted ${wanted}: ${HELD[held] ?? held}`,
      sign: "clock",
      tone: "rest",
    };
  if (limit)
    return {
      what: `Stayed at ${number(running)}, the ${limit === "max" ? "maximum" : "minimum"}`,
      sign: limit === "max" ? "ceiling" : "floor",
      tone: "limit",
    };
  return { what: `Stayed at ${number(running)}`, sign: "stay", tone: "quiet" };
}

const SEVERITY = { info: ["info", "info"], warning: ["warning", "limit"], error: ["cross", "bad"] };

function tellEvent(event) {
  const start = `${event.process}: `;
  const subject = event.subject.startsWith(start) ? event.subject.slice(start.length) : event.subject;
  const [sign, tone] = SEVERITY[event.severity] ?? SEVERITY.info;
  return {
    what: subject.charAt(0).toUpperCase() + subject.slice(1),
    sign: event.kind === "commanded" ? "hand" : sign,
    tone: event.kind === "commanded" ? "hand" : tone,
  };
}

/**
 * One form for both.
 * @returns {{key: string, at: string, process: string, what: string, why: string, facts: {label: string, text: string}[], sign: string, tone: string, again: boolean}}
 */
export function entry(kind, item) {
  const told = kind === "decision" ? tellDecision(item) : tellEvent(item);
  const facts = kind === "event" ? item.facts : [];
  const why = kind === "decision" ? item.reason.sentence : (facts.find((fact) => fact.label === "Why")?.text ?? "");
  const key = kind === "decision" ? `d ${item.process} ${item.at}` : `e ${item.id}`;
  return {
    ...told,
    key,
    again: kind === "decision" && ["dry_run", "failed"].includes(item.settled),
    at: item.at,
    process: item.process,
    why,
    facts: facts.filter((fact) => fact.label !== "Why"),
  };
}

/** Entries that come again at every look, such as those of a dry run, are told once, with how often and since when. */
export function makeFolding() {
  /** @type {Map<string, {what: string, row: HTMLElement, times: number}>} */
  const newest = new Map();
  return {
    /** @param {ReturnType<typeof entry>} one older than all before it @returns {HTMLElement|null} a row, or null when it was folded into one */
    row(one, withProcess) {
      const last = newest.get(one.process);
      if (last && one.again && last.what === one.what) {
        last.times += 1;
        fill(last.row.querySelector(".entry-again"), `${last.times} times in a row, since `, time(one.at));
        return null;
      }
      const row = entryRow(one, withProcess);
      newest.set(one.process, { what: one.what, row, times: 1 });
      return row;
    },
  };
}

/** What a reader of the screen, or a tooltip, is told of an entry. */
export const inOneLine = (one) => `${clock(one.at)}: ${one.what}${one.why ? `, because ${one.why}` : ""}`;

function entryRow(one, withProcess) {
  return h(
    "li",
    { class: "entry", data: { tone: one.tone } },
    h("span", { class: "entry-sign" }, icon(one.sign)),
    h("span", { class: "entry-when" }, time(one.at)),
    h(
      "div",
      { class: "entry-body" },
      h(
        "p",
        { class: "entry-what" },
        withProcess ? [h("a", { href: `#/process/${encodeURIComponent(one.process)}` }, one.process), " "] : null,
        one.what,
      ),
      one.why ? h("p", { class: "entry-why" }, one.why) : null,
      one.again ? h("p", { class: "entry-again" }) : null,
      one.facts.length
        ? h(
            "dl",
            { class: "facts" },
            one.facts.map((fact) => h("div", {}, h("dt", {}, fact.label), h("dd", {}, fact.text))),
          )
        : null,
    ),
  );
}
