// Walks through the whole dashboard as a person would, in both themes and two widths, and presses every button.
//
//   DASHBOARD_NODE_MODULES=… node walk.mjs http://127.0.0.1:8099/ screenshots [--process web] [--token …]
//
// Any server that keeps the contract will do: the mock or a real program. States that a healthy server is not in (a
// token that may only read, no store, a stalled bot, a lost line) are made by answering in its place.
import { buttons, check, finish, launch, open, options, signIn } from "./browser.mjs";

const API = "**/api/v1/";
const NASTY = `the platform said <img src=x onerror="document.title='owned'"> & "no"`;
const browser = await launch();

/** Whether text comes to stand somewhere. */
const appears = (locator, ms = 8000) =>
  locator
    .first()
    .waitFor({ timeout: ms })
    .then(
      () => true,
      () => false,
    );

async function overview(walk) {
  const { page, claim } = walk;
  await walk.go("#/");
  const row = page.locator(".row", { has: page.getByRole("link", { name: options.process, exact: true }) });
  claim("the overview says how many run", /^(\d+|\?)$/.test((await row.locator(".count").textContent()).trim()));
  claim("and why, beside the number", (await row.locator(".why").textContent()).length > 5);
  claim("status is said in words", (await row.locator(".badge span").first().textContent()).length > 3);
  await appears(page.locator(".live[data-state=live]"));
  claim("the line is live", (await page.locator("#live").textContent()).startsWith("Live"));
  const before = await row.textContent();
  claim("time goes on", await appears(row.filter({ hasNotText: before }), 15_000));
  await page.waitForTimeout(2500);
  await walk.audit("overview");
  const search = page.getByLabel("Filter by name or reason");
  if (!(await search.isVisible())) return;
  await search.fill("no such process at all");
  claim("a filter that fits nothing says so", await appears(page.getByText("No process fits.")));
  await walk.audit("overview-nothing");
  await page.getByRole("button", { name: "Show all" }).click();
  for (const chip of await page.locator(".chip").all()) {
    const n = Number(await chip.locator("b").textContent());
    await chip.click();
    claim("a chip shows as many as it says", Math.abs((await page.locator(".row:not([hidden])").count()) - n) <= 1);
  }
  await page.locator(".chip").first().click();
  await page.getByLabel("Sort by").selectOption("status");
  claim("the order is in the address", page.url().includes("sort=status"));
  await page.getByLabel("Sort by").selectOption("name");
  for (const command of ["Pause", "Resume"]) {
    await page.getByRole("button", { name: `${command} all` }).click();
    await walk.audit(`all-${command.toLowerCase()}`);
    await page.getByLabel("Reason", { exact: true }).fill("a test");
    await page.locator("dialog button[type=submit]").click();
    claim(`${command} all is confirmed`, await appears(page.locator(".toast", { hasText: `${command}: ` })));
  }
}

const processRoute = `#/process/${encodeURIComponent(options.process)}`;

async function history(walk) {
  const { page, claim } = walk;
  await walk.go(processRoute);
  claim(
    "the headline says how many run and why",
    /running — because .+|how many run — because .+/.test(await page.locator(".headline").textContent()),
  );
  await page.locator(".plot canvas").first().waitFor();
  claim(
    "a chart for each signal and one for the processes",
    (await page.locator(".plot").count()) === (await page.locator(".head .reading").count()) + 1,
  );
  await page.waitForTimeout(2500);
  await walk.audit("process");
  for (const range of ["6 h", "1 d", "7 d", "30 d", "90 d", "1 h"]) {
    await page.getByRole("button", { name: range, exact: true }).click();
    claim(
      `${range} can be chosen`,
      await appears(page.locator(`button[data-range="${range.replace(" ", "")}"][aria-pressed=true]`)),
    );
    if (range === "90 d" || range === "1 d") await walk.audit(`process-${range.replace(" ", "-")}`);
  }
  const liveButton = page.getByRole("button", { name: "Live", exact: true });
  for (const name of ["Zoom in", "Earlier", "Later", "Zoom out"]) {
    await page.getByRole("button", { name, exact: true }).click();
    claim(`${name} stops following`, await appears(page.locator(".follow[aria-pressed=false]")));
  }
  await liveButton.click();
  claim("Live follows again", await appears(page.locator(".follow[aria-pressed=true]")));
  const over = page.locator(".u-over").first();
  await over.scrollIntoViewIfNeeded();
  const box = await over.boundingBox();
  await page.mouse.move(box.x + box.width * 0.5, box.y + 40);
  claim(
    "the chart tells its numbers under the pointer",
    await appears(page.locator(".readout", { hasText: "running" })),
  );
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.8, box.y + 50, { steps: 5 });
  await page.mouse.up();
  claim("dragging zooms", await appears(page.locator(".follow[aria-pressed=false]")));
  await walk.audit("process-zoomed");
  await liveButton.click();
  await page.getByRole("button", { name: "Show as table" }).click();
  claim("the charts are also a table", (await page.locator("#chart-table tbody tr").count()) > 0);
  await walk.audit("process-table");
  await page.getByRole("button", { name: "Hide table" }).click();
  claim("and a sentence", (await page.locator("#chart-summary").textContent()).length > 30);
}

/** A series of an hour in steps of 6 s, in which a quarter of an hour is missing. */
const HOLE = [0.4, 0.65];
function withHole(answer) {
  const at_ms = Array.from({ length: 600 }, (_, i) => Date.parse(answer.from) + i * 6000).filter(
    (_, i) => i < HOLE[0] * 600 || i > HOLE[1] * 600,
  );
  const all = (value) => at_ms.map(() => value);
  const readings = answer.signals.map(({ high }) => ({
    mean: all((high ?? 10) * 0.6),
    lowest: all((high ?? 10) * 0.3),
    highest: all((high ?? 10) * 0.9),
    failures: all(0),
  }));
  const counts = { running: all(3), wanted: all(3), min: all(1), max: all(5) };
  return { ...answer, step_seconds: 6, source: "raw", at_ms, ...counts, readings };
}

/** How many points each chart has in the colours of its lines and areas, between two shares of its width. */
const ink = (page, shares) =>
  page.evaluate(([from, to]) => {
    const copy = new OffscreenCanvas(4000, 1000).getContext("2d", { willReadFrequently: true });
    const style = getComputedStyle(document.documentElement);
    const palette = ["running", "line", "band", "spread"].map((name) => {
      copy.clearRect(0, 0, 1, 1);
      copy.fillStyle = style.getPropertyValue(`--${name}`).trim();
      copy.fillRect(0, 0, 1, 1);
      return copy.getImageData(0, 0, 1, 1).data.join();
    });
    return [...document.querySelectorAll(".plot")].map((plot) => {
      const canvas = plot.querySelector("canvas"),
        over = plot.querySelector(".u-over");
      copy.clearRect(0, 0, 4000, 1000);
      copy.drawImage(canvas, 0, 0);
      const ratio = canvas.width / canvas.clientWidth;
      const left = over.offsetLeft + over.clientWidth * from,
        wide = over.clientWidth * (to - from);
      const box = [left, over.offsetTop, wide, over.clientHeight].map((n) => Math.round(n * ratio));
      const { data } = copy.getImageData(...box);
      let many = 0;
      for (let i = 0; i < data.length; i += 4) if (palette.includes(data.subarray(i, i + 4).join())) many += 1;
      return many;
    });
  }, shares);

async function gaps(walk) {
  const { page, claim } = walk;
  const route = /\/processes\/[^/]+\/series/;
  await page.route(route, async (asked) => {
    const response = await asked.fetch();
    await asked.fulfill({ response, json: withHole(await response.json()) });
  });
  // A reload keeps the place on the page, and what is below would seem to jump while it comes.
  await page.evaluate(() => scrollTo(0, 0));
  await walk.go(processRoute);
  const found = await page.evaluate(async () => {
    const { append, emptySeries, usualStep, withGaps } = await import(new URL("assets/history.js", location.href).href);
    const empties = (step_seconds, interval_seconds, times) => {
      const signal = { index: 0, backend: "x", unit: "", low: 1, high: 2, reading: 1, failure: null, interval_seconds };
      const process = { running: 4, wanted: 4, min: 1, max: 5, signals: [signal] };
      const series = { ...emptySeries(process), step_seconds };
      for (const seconds of times)
        append(series, { ...process, last_tick_at: new Date(1e12 + seconds * 1000).toISOString() }, 0);
      const drawn = withGaps(series, usualStep(series, process));
      return drawn.index.filter((_, i) => drawn.isGap[i] && drawn.running[i] === null).join();
    };
    return {
      none: empties(6, 10, [0, 10, 20, 30]),
      threeSteps: empties(6, 10, [0, 10, 40, 50]),
      more: empties(6, 10, [0, 10, 41, 51, 900]),
      slow: empties(6, 300, [0, 300, 610, 1400]),
      coarse: empties(1008, 10, [0, 1008, 3024, 3030]),
      withoutStore: empties(0, 2, [0, 2, 4, 11]),
    };
  });
  const expected = { none: "", threeSteps: "", more: "1,1,3,3", slow: "", coarse: "", withoutStore: "2,2" };
  claim("more than three steps are a gap", JSON.stringify(found) === JSON.stringify(expected), JSON.stringify(found));
  claim(
    "a gap is told in the sentence",
    await appears(page.locator("#chart-summary", { hasText: "no data for 15 min" })),
  );
  const [before, within, after] = [
    await ink(page, [0.1, 0.3]),
    await ink(page, [0.43, 0.62]),
    await ink(page, [0.7, 0.9]),
  ];
  const told = JSON.stringify([before, within, after]);
  claim("there are lines before and after a gap", before.every((n) => n > 200) && after.every((n) => n > 200), told);
  claim(
    "nothing is drawn across a gap",
    within.every((n) => n === 0),
    told,
  );
  const over = page.locator(".u-over").first();
  await over.scrollIntoViewIfNeeded();
  const box = await over.boundingBox();
  const readout = page.locator(".readout");
  for (const share of [0.43, 0.52, 0.62]) {
    await page.mouse.move(box.x + box.width * share, box.y + 40);
    claim("the pointer in a gap is told so", await appears(readout.filter({ hasText: /^No data from .+ to / })));
  }
  for (const share of [0.2, 0.8]) {
    await page.mouse.move(box.x + box.width * share, box.y + 40);
    const text = (await appears(readout.filter({ hasText: "3 running" }))) ? await readout.textContent() : "";
    const late = await page.evaluate(
      ([part, told]) => {
        const [hours, minutes, seconds] = /(\d\d):(\d\d):(\d\d)/.exec(told)?.slice(1).map(Number) ?? [];
        const wanted = Date.now() - (1 - part) * 3_600_000;
        return Math.abs(new Date(wanted).setHours(hours, minutes, seconds) - wanted) / 1000;
      },
      [share, text],
    );
    claim("beside a gap the pointer finds its own point", late < 30, text);
  }
  await page.getByRole("button", { name: "Show as table" }).click();
  const rows = await page.locator("#chart-table tbody tr").allTextContents();
  claim("a gap has no rows in the table", rows.length > 0 && rows.every((row) => /\d–\d+$/.test(row)), rows[0]);
  await walk.audit("process-gap");
  await page.mouse.move(0, 0);
  await page.getByRole("button", { name: "Hide table" }).click();
  await page.unroute(route);
}

async function marks(walk) {
  const { page, claim } = walk;
  if (!(await page.locator(".mark").count())) await page.getByRole("button", { name: "1 d", exact: true }).click();
  if (!(await appears(page.locator(".mark")))) {
    claim("something was marked", false);
    return;
  }
  const tip = page.locator("#mark-tip"),
    stop = page.locator(".mark[tabindex='0']");
  claim("the marks are one stop for the tab key", (await stop.count()) === 1);
  await stop.focus();
  claim("a mark explains itself to the keyboard", (await tip.isVisible()) && (await tip.textContent()).length > 10);
  await walk.audit("process-mark");
  await page.keyboard.press("Home");
  const active = await page.evaluate(() => document.activeElement.outerHTML.slice(0, 300));
  claim("the keyboard goes to another mark", active.includes('class="mark"'), active);
  await page.keyboard.press("Escape");
  claim("Escape puts the explanation away", await tip.isHidden());
  await page.locator(".mark").last().hover();
  claim("a mark explains itself to the pointer", await tip.isVisible());
  await page.mouse.move(0, 0);
  await page.locator(".mark").last().click();
  claim("a mark explains itself to a finger", await tip.isVisible());
  await page.evaluate(() => document.activeElement.blur());
  await page.getByLabel("Only changes").uncheck();
  claim("all looks can be listed", await appears(page.locator(".entry", { hasText: "Stayed at" })));
  await page.getByLabel("Only changes").check();
}

async function commands(walk) {
  const { page, claim } = walk;
  const bar = page.getByRole("group", { name: "Commands" });
  const dialog = page.locator("dialog"),
    send = dialog.locator("button[type=submit]");
  if (await bar.getByRole("button", { name: /^(Resume|End hold)$/ }).count())
    await give(bar.getByRole("button", { name: /^(Resume|End hold)$/ }), "resume");

  async function give(button, name, change = async () => {}) {
    await button.click();
    claim(`${name} says first what will happen`, (await dialog.locator(".explain").textContent()).length > 40);
    await change();
    await walk.audit(`dialog-${name}`);
    await send.click();
    claim(`${name} is not given without a reason`, await dialog.isVisible());
    await dialog.getByLabel("Reason", { exact: true }).fill(`a test of ${name}`);
    await page.locator(".toast").evaluateAll((old) => old.forEach((one) => one.remove()));
    await send.click();
    await dialog.waitFor({ state: "detached" });
    claim(`${name} is confirmed`, await appears(page.locator(".toast")));
  }
  const press = (name) => bar.getByRole("button", { name });

  await press("Pause").click();
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await dialog.waitFor({ state: "detached" });
  claim("a command can be cancelled", (await dialog.count()) === 0 && (await page.locator(".mode").isHidden()));
  await press("Pause").click();
  await page.keyboard.press("Escape");
  claim(
    "Escape closes a dialog and focus goes back",
    (await page.evaluate(() => document.activeElement.dataset.command)) === "pause",
  );
  await give(press("Pause"), "pause", async () => {
    await dialog.getByLabel("What to pause").selectOption("down");
    claim("the words follow the choice", (await dialog.locator(".explain").textContent()).includes("scaled down"));
    await dialog.getByLabel("For how long").selectOption("");
  });
  claim("a pause is shown with its reason", await appears(page.locator(".mode", { hasText: "a test of pause" })));
  await walk.audit("process-paused");
  await give(press("Resume"), "resume");
  claim(
    "after resuming it is automatic",
    await page
      .locator(".mode")
      .waitFor({ state: "hidden" })
      .then(
        () => true,
        () => false,
      ),
  );
  await give(press("Hold at"), "hold", () => dialog.getByLabel("How many processes").fill("2"));
  claim("a hold is shown", await appears(page.locator(".mode", { hasText: "Held at 2" })));
  await give(press("End hold"), "end-hold");
  await give(press("Scale to"), "scale", () => dialog.getByLabel("How many processes").fill("3"));
  await give(press("Dry run on"), "dry-run-on");
  claim("a dry run is shown", await appears(page.getByText("Dry run: nothing is scaled")));
  await give(press("Dry run off"), "dry-run-off");
  await give(press("Evaluate now"), "evaluate");
}

async function refused(walk) {
  const { page, claim } = walk,
    dialog = page.locator("dialog");
  await walk.go(processRoute);
  await page.route(
    `${API}processes/*/commands`,
    (route) => route.fulfill({ status: 409, json: { error: { key: "refused", message: NASTY } } }),
    { times: 1 },
  );
  await page.getByRole("button", { name: "Evaluate now", exact: true }).click();
  await dialog.getByLabel("Reason", { exact: true }).fill("will be refused");
  await dialog.locator("button[type=submit]").click();
  claim(
    "an error is told in the dialog, as text",
    (await appears(dialog.getByText("<img src=x onerror=", { exact: false }))) && (await page.title()) !== "owned",
  );
  await walk.audit("dialog-refused");
  await dialog.getByRole("button", { name: "Cancel" }).click();
}

async function journal(walk) {
  const { page, claim } = walk;
  await walk.go("#/journal");
  claim("the journal has entries", await appears(page.locator(".entry")));
  await walk.audit("journal");
  const older = page.getByRole("button", { name: "Older" });
  const show = page.getByLabel("Show", { exact: true });
  await page.getByLabel("Only changes").uncheck();
  claim("all looks are in the journal", await appears(page.locator(".entry", { hasText: "Stayed at" })));
  if (await appears(older, 3000)) {
    const before = await page.locator(".entry").count();
    await older.click();
    await page.waitForFunction((n) => document.querySelectorAll(".entry").length > n, before).catch(() => {});
    claim("older entries come below", (await page.locator(".entry").count()) > before);
  }
  await page.getByLabel("Only changes").check();
  for (const value of ["up", "events", "problems", "commanded"]) {
    await show.selectOption(value);
    await page.waitForFunction(
      () => document.querySelector(".entry") || document.querySelector(".note")?.textContent.startsWith("Nothing"),
    );
    claim(`the journal answers "${value}"`, !(await page.locator(".note").textContent()).includes("cannot"));
  }
  claim(
    "orders of people are in the journal with their reason",
    await appears(page.locator(".entry-why, .facts", { hasText: "a test of" })),
  );
  await page.getByLabel("Process", { exact: true }).fill(options.process);
  await show.selectOption("");
  await page.getByLabel("When").selectOption("around");
  claim("around a time is asked for", await page.getByLabel("Time", { exact: true }).isVisible());
  const at = await page.evaluate(() => {
    const d = new Date(Date.now() - 60_000);
    return new Date(d - d.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
  });
  await page.getByLabel("Time", { exact: true }).fill(at);
  claim("around a time there are entries", await appears(page.locator(".entry")));
  await walk.settle();
  await walk.audit("journal-around");
  const address = page.url();
  claim("the filter is in the address", address.includes("around=") && address.includes(`process=${options.process}`));
  await page.reload();
  if (options.token) await signIn(page, options.token);
  claim(
    "a link brings the same filter",
    (await appears(page.locator(".entry"))) && (await page.getByLabel("Time", { exact: true }).inputValue()) === at,
  );
  await page.getByLabel("When").selectOption("between");
  await page.getByLabel("From", { exact: true }).fill("2001-01-01T03:00");
  await page.getByLabel("To", { exact: true }).fill("2001-01-01T04:00");
  claim("a time without entries says so", await appears(page.getByText("Nothing fits.")));
  await walk.settle();
  await walk.audit("journal-nothing");
}

async function settings(walk) {
  const { page, claim } = walk;
  await walk.go("#/settings");
  claim("there are settings", await appears(page.locator("details")));
  const summary = page.locator("summary", { has: page.getByRole("heading", { name: options.process, exact: true }) });
  if (!(await page.locator("details[open]").count())) await summary.click();
  claim("each with value and source", await appears(page.locator("details[open] tbody tr td code").nth(3)));
  await walk.audit("settings");
  await page.getByLabel("Search settings").fill("max_processes");
  claim(
    "search finds a setting",
    (await appears(page.getByText("max_processes").first())) && !(await page.getByText("measurement.backend").count()),
  );
  await page.getByLabel("Search settings").fill("");
  await page.getByLabel("Without defaults").check();
  await page.getByLabel("Search settings").fill("no such setting at all");
  claim("search without a find says so", await appears(page.getByText("No setting fits.")));
  await walk.audit("settings-nothing");
}

async function frame(walk) {
  const { page, claim } = walk;
  await walk.go("#/");
  await page.keyboard.press("Tab");
  claim("the first stop is the skip link", (await page.evaluate(() => document.activeElement.className)) === "skip");
  await page.keyboard.press("Enter");
  claim("it leads to the content", (await page.evaluate(() => document.activeElement.id)) === "main");
  const theme = () => page.evaluate(() => document.documentElement.dataset.theme);
  const before = await theme();
  await page.locator("#theme").click();
  const after = await theme();
  await page.reload();
  claim("the choice of colours is kept", after !== before && (await theme()) === after);
  await page.locator("#theme").click();
  await walk.go("#/nowhere");
  claim("a page that is not there says so", await appears(page.getByText("There is no such page")));
  await page.evaluate(() => {
    location.hash = "#/journal";
  });
  claim(
    "focus goes to the heading of a new page",
    await page
      .waitForFunction(() => document.activeElement.tagName === "H1")
      .then(
        () => true,
        () => false,
      ),
  );
}

/** Answers `health` with something changed. */
const withHealth = (change) => (page) =>
  page.route(`${API}health`, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, json: { ...(await response.json()), ...change } });
  });

async function otherStates(theme, width) {
  let walk = await open(browser, { theme, width, label: `read ${width}`, prepare: withHealth({ role: "read" }) });
  await walk.go(processRoute);
  walk.claim(
    "a reader is told what is missing",
    (await appears(walk.page.getByText("Your token may read."))) &&
      !(await walk.page.getByRole("group", { name: "Commands" }).count()),
  );
  await walk.audit("read-only");
  await walk.close();

  const noStore = async (page) => {
    await withHealth({
      store: {
        kind: "none",
        state: "off",
        error: null,
        lost_records: 0,
        waiting_records: 0,
        retention_days: 0,
        rollup_days: 0,
      },
    })(page);
    await page.route(/\/api\/v1\/(decisions|events|processes\/[^/]+\/series)/, (route) =>
      route.fulfill({ status: 503, json: { error: { key: "store_off", message: "history is off" } } }),
    );
  };
  walk = await open(browser, { theme, width, label: `store off ${width}`, prepare: noStore });
  await walk.go(processRoute);
  walk.claim(
    "without a store the charts begin now, and the page says so",
    (await appears(walk.page.getByText("the charts begin when this page was opened", { exact: false }))) &&
      (await appears(walk.page.locator(".plot canvas"))),
  );
  await walk.page.waitForTimeout(5000);
  await walk.audit("store-off-process");
  await walk.go("#/journal");
  walk.claim(
    "without a store the journal says so",
    await appears(walk.page.getByText("History is off", { exact: false })),
  );
  await walk.audit("store-off-journal");
  await walk.close();

  const unwell = {
    status: "degraded",
    stalled: [options.process],
    store: {
      kind: "sqlite",
      state: "failing",
      error: NASTY,
      lost_records: 3,
      waiting_records: 40,
      retention_days: 7,
      rollup_days: 90,
    },
  };
  walk = await open(browser, { theme, width, label: `degraded ${width}`, prepare: withHealth(unwell) });
  await walk.go("#/");
  walk.claim("a stalled bot is told", await appears(walk.page.getByText("A bot is stalled", { exact: false })));
  walk.claim(
    "a failing store is told, with what it means",
    await appears(walk.page.getByText("The bots go on measuring and scaling.", { exact: false })),
  );
  await walk.audit("degraded");
  await walk.close();

  const guarded = async (page) =>
    page.route(`${API}**`, async (route) => {
      const said = route.request().headers().authorization;
      if (said !== "Bearer let-me-in") {
        await route.fulfill({ status: 401, json: { error: { key: "unauthorized", message: "a token is needed" } } });
        return;
      }
      const headers = {
        ...route.request().headers(),
        ...(options.token ? { authorization: `Bearer ${options.token}` } : {}),
      };
      if (route.request().url().includes("/stream")) await route.continue({ headers });
      else await route.fulfill({ response: await route.fetch({ headers }) });
    });
  walk = await open(browser, {
    theme,
    width,
    label: `token ${width}`,
    expectFailures: true,
    signsIn: false,
    prepare: guarded,
  });
  await walk.go("#/");
  walk.claim("without a token there is a form", await appears(walk.page.getByRole("heading", { name: "Sign in" })));
  await walk.page.getByLabel("Token", { exact: true }).fill("wrong");
  await walk.page.getByRole("button", { name: "Sign in" }).click();
  walk.claim("a wrong token is told", await appears(walk.page.getByText("That token is not known here.")));
  await walk.audit("sign-in");
  await signIn(walk.page, "let-me-in");
  walk.claim("the right one opens the page", await appears(walk.page.locator(".row")));
  await walk.page.reload();
  walk.claim("and is kept over a reload", await appears(walk.page.locator(".row")));
  await walk.page.locator("#sign-out").click();
  walk.claim("signing out asks again", await appears(walk.page.getByRole("heading", { name: "Sign in" })));
  await walk.close();

  walk = await open(browser, { theme, width, label: `refused ${width}`, expectFailures: true });
  await refused(walk);
  await walk.close();

  walk = await open(browser, {
    theme,
    width,
    label: `lost line ${width}`,
    expectFailures: true,
    prepare: (page) => page.route(`${API}stream*`, (route) => route.abort("connectionreset")),
  });
  await walk.go("#/");
  walk.claim(
    "a lost line is told",
    await appears(walk.page.locator("#live", { hasText: /Reconnecting, data from \d+ s ago/ })),
  );
  await walk.audit("reconnecting");
  await walk.page.unroute(`${API}stream*`);
  walk.claim("and found again by itself", await appears(walk.page.locator(".live[data-state=live]"), 20_000));
  await walk.close();
}

for (const [theme, width] of [
  ["light", 1400],
  ["dark", 1400],
  ["light", 390],
  ["dark", 390],
]) {
  const walk = await open(browser, { theme, width });
  // What goes wrong in one part must not hide the others.
  for (const part of [overview, history, gaps, marks, commands, journal, settings, frame]) {
    await part(walk).catch((error) =>
      walk.claim(`${part.name} can be walked through`, false, String(error).slice(0, 900)),
    );
    await walk.page
      .locator("dialog")
      .evaluateAll((open) => open.forEach((one) => one.close()))
      .catch(() => {});
  }
  await walk.close();
}
for (const [theme, width] of [
  ["light", 1400],
  ["dark", 390],
])
  await otherStates(theme, width).catch((error) =>
    check(`other states ${theme} ${width} can be walked through`, false, String(error).slice(0, 900)),
  );
const missed = [...buttons.seen].filter((name) => !buttons.pressed.has(name));
check("every button was pressed", missed.length === 0, missed.join(", "));
await browser.close();
finish();
