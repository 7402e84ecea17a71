// The dialogs with which a person takes part: pause, resume, hold, scale, dry run, evaluate.
//
// Each says in plain words what will happen before it happens, asks for a reason, which the journal keeps, and shows
// what the server answers. Nothing is sent without the button in the dialog. The server checks everything again.
import { ApiError, post } from "./api.js";
import { field, fill, h, select, setText, toast } from "./dom.js";
import { live, loadProcesses, take } from "./live.js";
import { bounds, clock } from "./words.js";

/** The API takes as many. */
const LONGEST_REASON = 300;

const SPANS = [
  ["900", "15 minutes"],
  ["3600", "1 hour"],
  ["14400", "4 hours"],
  ["86400", "1 day"],
  ["", "until it is resumed"],
];

const until = (values) =>
  values.for_seconds === null ? "until somebody resumes it" : `until ${clock(Date.now() + values.for_seconds * 1000)}`;

/** What a command needs and says. `p` is the process, or null for all of them. */
const COMMANDS = {
  pause: {
    title: "Pause",
    button: "Pause",
    fields: ["scope", "span"],
    explain: (who, p, v) =>
      `${who} will not be scaled${{ all: "", up: " up", down: " down" }[v.scope]} ${until(v)}. Measuring goes on, so you still see what would be decided.` +
      { all: "", up: " It may still be scaled down.", down: " It may still be scaled up." }[v.scope],
    done: (who) => `${who}: paused`,
  },
  resume: {
    title: "Resume",
    button: "Resume",
    fields: [],
    explain: (who, p) =>
      p
        ? `The ${p.mode.kind === "held" ? "hold" : "pause"} ends now. ${who} is scaled automatically again, from the next look on.`
        : `Every pause and every hold ends now. ${who} are scaled automatically again, from their next look on.`,
    done: (who) => `${who}: automatic again`,
  },
  hold: {
    title: "Hold",
    button: "Hold",
    fields: ["count", "span"],
    explain: (who, p, v) =>
      `${who} will run ${v.count} ${until(v)}, whatever is measured.${p.running === v.count || p.running === null ? "" : ` Now ${p.running} run, so it is scaled ${v.count > p.running ? "up" : "down"} first.`}`,
    done: (who, v) => `${who}: held at ${v.count}`,
  },
  scale: {
    title: "Scale now",
    button: "Scale now",
    fields: ["count"],
    explain: (who, p, v) =>
      `${who} is scaled ${p.running === null ? "" : `from ${p.running} `}to ${v.count} at once, and only once: after that it is decided automatically again, and the count may change back. Allowed now: ${bounds(p)}.`,
    done: (who, v, answer) => outcome(who, answer, `${who}: told to scale to ${v.count}`),
  },
  dry_run: {
    title: "Dry run",
    button: "Change",
    fields: [],
    values: (p) => ({ on: !p.dry_run }),
    explain: (who, p, v) =>
      v.on
        ? `From now on ${who} is measured and decided, but not scaled: the journal shows what would have been done.`
        : `The dry run ends: from the next look on ${who} is really scaled.`,
    done: (who, v) => `${who}: dry run ${v.on ? "on" : "off"}`,
  },
  evaluate: {
    title: "Evaluate now",
    button: "Evaluate now",
    fields: [],
    explain: (who, p) =>
      `${who} is measured and decided at once instead of at the next look${p.next_tick_at ? ` (${clock(p.next_tick_at)})` : ""}. If the decision calls for it, it is scaled.`,
    done: (who, v, answer) => outcome(who, answer, `${who}: evaluated`),
  },
};

/** What came of it, in the words of the decision. */
function outcome(who, answer, otherwise) {
  const decision = answer.decision;
  if (!decision) return otherwise;
  if (decision.failure) return `${decision.failure.message}; asked again later`;
  const did = decision.order
    ? `${decision.order.from} → ${decision.order.to}`
    : `stays at ${answer.process.running ?? "the same count"}`;
  return `${who}: ${did}, because ${decision.reason.sentence}`;
}

/** @param {keyof COMMANDS} command @param {string|null} name the process, or null for all */
export function openCommand(command, name) {
  const known = COMMANDS[command];
  const p = name === null ? null : live.processes.get(name);
  const who = name ?? `All ${live.processes.size} processes`;
  const inputs = {
    scope: select([
      ["all", "Scaling up and down"],
      ["up", "Only scaling up"],
      ["down", "Only scaling down"],
    ]),
    span: select(SPANS, "3600"),
    count: h("input", {
      type: "number",
      inputmode: "numeric",
      required: true,
      min: p?.min ?? 0,
      max: p?.max,
      value: p?.running ?? p?.min ?? 0,
    }),
  };
  const reason = h("input", {
    type: "text",
    required: true,
    maxlength: LONGEST_REASON,
    autocomplete: "off",
    placeholder: "For the journal",
  });
  const labels = { scope: "What to pause", span: "For how long", count: "How many processes" };
  const words = h("p", { class: "explain", "aria-live": "polite" });
  const problem = h("p", { class: "problem", role: "alert" });
  const send = h("button", { type: "submit", class: "primary" }, known.button);
  const title = known.title + (command === "dry_run" ? (p.dry_run ? " off" : " on") : "");

  function values() {
    const given = known.values?.(p) ?? {};
    if (known.fields.includes("scope")) given.scope = inputs.scope.value;
    if (known.fields.includes("span")) given.for_seconds = inputs.span.value === "" ? null : Number(inputs.span.value);
    if (known.fields.includes("count")) given.count = Number(inputs.count.value);
    return given;
  }

  async function submit(event) {
    event.preventDefault();
    const given = values();
    send.disabled = true;
    setText(problem, "");
    try {
      const path = name === null ? "commands" : `processes/${encodeURIComponent(name)}/commands`;
      const answer = await post(path, { command, ...given, reason: reason.value.trim() });
      dialog.close();
      if (name === null) {
        const failed = answer.failed.length;
        toast(`${known.title}: ${answer.processes} done${failed ? `, ${failed} failed` : ""}`, failed ? "bad" : "ok");
        await loadProcesses();
      } else {
        take(answer.process);
        toast(known.done(who, given, answer));
      }
    } catch (error) {
      // The dialog stays, with what was typed, so that it can be put right.
      setText(
        problem,
        error instanceof ApiError
          ? sentence(error.message)
          : "Something went wrong on this page; nothing more is known.",
      );
    } finally {
      send.disabled = false;
    }
  }

  const form = h(
    "form",
    { on: { submit, input: () => setText(words, known.explain(who, p, values())) } },
    h("h2", { id: "dialog-title" }, name === null ? `${title}: all processes` : `${title}: ${name}`),
    known.fields.map((key) => field(labels[key], inputs[key], key === "count" ? `From ${p.min} to ${p.max}.` : null)),
    words,
    field("Reason", reason),
    problem,
    h(
      "div",
      { class: "dialog-end" },
      h("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel"),
      send,
    ),
  );
  const dialog = h("dialog", { "aria-labelledby": "dialog-title", on: { close: () => dialog.remove() } }, form);
  setText(words, known.explain(who, p, values()));
  document.body.append(dialog);
  dialog.showModal();
  (known.fields.length ? inputs[known.fields[0]] : reason).focus();
}

/** Error messages begin small and end open. */
export function sentence(message) {
  const text = message.charAt(0).toUpperCase() + message.slice(1);
  return /[.!?…]$/.test(text) ? text : `${text}.`;
}

/** The row of buttons on the page of a process; `fill`ed again only when what it offers changes. */
export function commandBar(box, process) {
  const steered = process.mode.kind !== "automatic";
  const offers = [
    steered ? ["resume", process.mode.kind === "held" ? "End hold" : "Resume"] : null,
    ["pause", "Pause"],
    ["hold", "Hold at …"],
    ["scale", "Scale to …"],
    ["dry_run", process.dry_run ? "Dry run off" : "Dry run on"],
    ["evaluate", "Evaluate now"],
  ].filter(Boolean);
  const key = offers.map(([, text]) => text).join();
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  const focused = document.activeElement?.dataset.command;
  fill(
    box,
    offers.map(([command, text]) =>
      h(
        "button",
        {
          type: "button",
          data: { command },
          class: command === "resume" ? "primary" : null,
          on: { click: () => openCommand(command, process.name) },
        },
        text,
      ),
    ),
  );
  if (focused) (box.querySelector(`[data-command="${focused}"]`) ?? box.firstChild).focus();
}
