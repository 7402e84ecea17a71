// The frame around the pages: which page is shown, sign-in, how fresh the data is, and whether the program is well.
//
// Routes are hashes (`#/process/web?range=6h`), so the server has one page to serve and links can be shared. A page is a
// function that fills the main element and returns how to end it; it is told about changes by `live.js`.
import { ApiError, get, hasToken, onSignedOut, setToken } from "./api.js";
import { fill, field, h, icon, setText } from "./dom.js";
import { follow, live, loadHealth, loadProcesses, on, unfollow } from "./live.js";
import { span, zone } from "./words.js";
import { overview } from "./overview.js";
import { processPage } from "./process.js";
import { journal } from "./journal.js";
import { settings } from "./settings.js";

/** Older than this, the age of the data is worth saying even while the line stands. */
const OLD_MS = 20_000;

const main = document.getElementById("main");
const PAGES = { overview, process: processPage, journal, settings };

let end = null,
  shown = null,
  signedOut = false;

function route() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [page, ...rest] = path.split("/");
  let name = rest.join("/");
  try {
    name = decodeURIComponent(name);
  } catch {
    /* a broken address names no process, and the page says so */
  }
  return { page: page || "overview", name, query: new URLSearchParams(query) };
}

async function show() {
  if (signedOut) return;
  // The skip link and the like are not routes.
  if (location.hash && !location.hash.startsWith("#/")) return;
  const { page, name, query } = route();
  end?.();
  end = null;
  const make = PAGES[page];
  for (const link of document.querySelectorAll("nav a")) {
    const current = link.dataset.page === (page === "process" ? "overview" : page);
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const moved = shown !== null && shown !== page + name;
  shown = page + name;
  main.replaceChildren();
  document.title = `${{ process: name, journal: "Journal", settings: "Settings" }[page] ?? "Processes"} · autoscalebot`;
  if (make) {
    follow(page === "process" ? name : null);
    end = make(main, name, query);
  } else {
    fill(
      main,
      h(
        "div",
        { class: "empty" },
        h("h1", { tabindex: "-1" }, "There is no such page"),
        h("a", { href: "#/" }, "To the processes"),
      ),
    );
  }
  if (moved) {
    scrollTo(0, 0);
    main.querySelector("h1")?.focus({ preventScroll: true });
  }
}

/** Nothing is shown before the health is known: role and store decide what the pages offer, and nothing has to jump. */
async function start() {
  try {
    await Promise.all([loadHealth(), loadProcesses()]);
  } catch (error) {
    if (error.status === 401) return;
    unreachable(error);
    return;
  }
  signedOut = false;
  document.getElementById("sign-out").hidden = !hasToken();
  show();
}

function unreachable(error) {
  const again = () => {
    fill(main, h("p", { class: "empty" }, "Asking again …"));
    start();
  };
  fill(
    main,
    h(
      "div",
      { class: "empty", role: "alert" },
      h("h1", {}, "No data"),
      h("p", {}, `${error instanceof ApiError ? error.message : "the page could not be started"}.`),
      h("button", { type: "button", on: { click: again } }, "Try again"),
    ),
  );
}

function signIn() {
  if (signedOut) return;
  const refused = hasToken();
  signedOut = true;
  end?.();
  end = null;
  unfollow();
  setToken(null);
  document.getElementById("sign-out").hidden = true;
  fill(document.getElementById("banner"));
  const input = h("input", { type: "password", autocomplete: "off", required: true, spellcheck: "false" });
  const problem = h("p", { class: "problem", role: "alert" }, refused ? "That token is not known here." : "");
  const submit = async (event) => {
    event.preventDefault();
    setText(problem, "");
    setToken(input.value.trim());
    try {
      await get("health");
      signedOut = false;
      await start();
    } catch (error) {
      setToken(null);
      setText(problem, error.status === 401 ? "That token is not known here." : `${error.message}.`);
      input.select();
    }
  };
  fill(
    main,
    h(
      "form",
      { class: "card sign-in", on: { submit } },
      h("h1", { tabindex: "-1" }, "Sign in"),
      h(
        "p",
        {},
        "This server asks for a token. One with the role ",
        h("b", {}, "read"),
        " shows everything; one with the role ",
        h("b", {}, "operate"),
        " may also pause, hold and scale.",
      ),
      field("Token", input, "Kept in this tab only, until it is closed."),
      problem,
      h("button", { type: "submit", class: "primary" }, "Sign in"),
    ),
  );
  input.focus();
  freshness();
  document.title = "Sign in · autoscalebot";
}

/** How fresh the data is. The text has a fixed place, so that it may change without moving anything. */
const liveDot = h("span", { class: "dot", "aria-hidden": "true" });
const liveText = h("span", {});
document.getElementById("live").append(liveDot, liveText);

function freshness() {
  const age = Date.now() - live.heardAt;
  const word = signedOut ? "Signed out" : ({ live: "Live", connecting: "Connecting" }[live.state] ?? "Reconnecting");
  const old = !signedOut && live.heardAt && (live.state === "reconnecting" || age > OLD_MS);
  setText(liveText, old ? `${word}, data from ${span(age)} ago` : word);
  document.getElementById("live").dataset.state = signedOut ? "off" : old && live.state === "live" ? "old" : live.state;
}

function banner() {
  const health = live.health;
  const lines = [];
  if (health.stalled?.length) {
    const few = health.stalled
      .slice(0, 3)
      .map((name, i) => [i ? ", " : "", h("a", { href: `#/process/${encodeURIComponent(name)}` }, name)]);
    const rest = health.stalled.length > 3 ? ` and ${health.stalled.length - 3} more` : "";
    const one = health.stalled.length === 1;
    lines.push([
      h("b", {}, one ? "A bot is stalled: " : "Bots are stalled: "),
      few,
      rest,
      one
        ? ". It has not looked for far too long, so nothing scales this process. "
        : ". They have not looked for far too long, so nothing scales these processes. ",
      "All others go on.",
    ]);
  }
  if (health.store?.state === "failing") {
    lines.push([
      h("b", {}, "History is not recorded. "),
      `The store fails: ${health.store.error ?? "the reason is not known"}. `,
      "The bots go on measuring and scaling. ",
      lost(health.store),
    ]);
  }
  if (health.status === "degraded" && !lines.length)
    lines.push([h("b", {}, "The program is not well. "), "The log says why."]);
  const key = JSON.stringify([health.status, health.stalled, health.store]);
  const box = document.getElementById("banner");
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  fill(
    box,
    lines.map((line) => h("div", { class: "banner" }, icon("warning"), h("p", {}, line))),
  );
}

function lost(store) {
  const parts = [];
  if (store.waiting_records) parts.push(`${store.waiting_records} records wait to be written`);
  if (store.lost_records) parts.push(`${store.lost_records} are lost`);
  return parts.length ? `${parts.join(", ")}.` : "";
}

function footer() {
  const { version, store, role } = live.health;
  const kept =
    store.state === "off"
      ? "history off"
      : `history ${store.retention_days} d in full, ${store.rollup_days} d condensed (${store.kind})`;
  setText(
    document.getElementById("foot"),
    [`autoscalebot ${version}`, kept, `role ${role}`, `times in ${zone()}`].join("  ·  "),
  );
}

onSignedOut(signIn);
on("health", () => {
  banner();
  footer();
});
on("state", freshness);
setInterval(freshness, 1000);
addEventListener("hashchange", show);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
document.getElementById("sign-out").addEventListener("click", () => {
  setToken(null);
  signIn();
});
start();
