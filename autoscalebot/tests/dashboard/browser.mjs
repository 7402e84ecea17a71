// What the browser tests share: a browser, a page that is watched, and counting.
//
// Every page notes what must not happen (console errors, failed requests, other hosts) and what was seen and pressed, so
// that each test is about what it does. The node packages playwright-core and axe-core are found in the folder
// that DASHBOARD_NODE_MODULES names; the browser is CHROMIUM or Debian's.
import { createRequire } from "node:module";
import { mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

const packages = createRequire(join(resolve(process.env.DASHBOARD_NODE_MODULES ?? "node_modules"), "x.js"));
const { chromium } = packages("playwright-core");
const axeSource = readFileSync(packages.resolve("axe-core/axe.min.js"), "utf8");

const given = process.argv.slice(2);
const flags = ["process", "token"];
const bare = given.filter((one, i) => !one.startsWith("--") && !flags.includes(given[i - 1]?.replace(/^--/, "")));

/** What was given on the command line. */
export const options = {
  base: (bare[0] ?? "http://127.0.0.1:8099/").replace(/\/*$/, "/"),
  out: bare[1] ?? null,
  process: value("process") ?? "web",
  token: value("token"),
  bench: given.includes("--bench"),
};

function value(name) {
  const i = given.indexOf(`--${name}`);
  return i < 0 ? null : given[i + 1];
}

let passed = 0;
const failures = [];

export function check(claim, holds, detail = "") {
  if (holds) passed += 1;
  else {
    failures.push(claim);
    console.log(`FAILED ${claim}${detail ? `\n       ${detail}` : ""}`);
  }
}

export function finish() {
  console.log(`${passed} passed, ${failures.length} failed`);
  process.exitCode = failures.length ? 1 : 0;
}

if (options.out) mkdirSync(options.out, { recursive: true });

export const launch = () =>
  chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });

/** All buttons that were seen and those that were pressed, over all pages. */
export const buttons = { seen: new Set(), pressed: new Set() };

const HEIGHT = 900;

/** A new page in a context of its own. `label` stands before each claim. */
export async function open(
  browser,
  {
    theme = "light",
    width = 1400,
    label = `${theme} ${width}`,
    expectFailures = false,
    signsIn = true,
    prepare = async () => {},
  } = {},
) {
  const context = await browser.newContext({
    viewport: { width, height: HEIGHT },
    colorScheme: theme,
    hasTouch: width < 600,
    reducedMotion: "reduce",
  });
  const page = await context.newPage();
  const troubles = [];
  const host = new URL(options.base).host;
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type()) && !expectFailures) troubles.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => troubles.push(`script: ${error.stack}`));
  page.on("request", (request) => {
    if (!request.url().startsWith("data:") && new URL(request.url()).host !== host)
      troubles.push(`other host: ${request.url()}`);
  });
  // A request that the page itself gives up, such as the stream of a page that was left, is no failure.
  page.on("requestfailed", (request) => {
    if (!expectFailures && request.failure()?.errorText !== "net::ERR_ABORTED")
      troubles.push(`failed: ${request.url()} ${request.failure()?.errorText}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400 && !expectFailures) troubles.push(`${response.status()}: ${response.url()}`);
  });
  await context.exposeBinding("notePressed", (_source, text) => buttons.pressed.add(text));
  await context.addInitScript(() => {
    window.nameOf = (button) => (button.getAttribute("aria-label") ?? button.textContent).replace(/\d+/g, "N").trim();
    addEventListener(
      "click",
      (event) => {
        const button = event.target.closest?.("button");
        if (button && !("mark" in button.dataset)) window.notePressed(window.nameOf(button));
      },
      true,
    );
    window.shifts = [];
    new PerformanceObserver((list) => {
      for (const shift of list.getEntries()) {
        if (!shift.hadRecentInput)
          window.shifts.push({
            value: shift.value,
            of: shift.sources.map(({ node }) => `${node?.nodeName}.${node?.className}`).join(", "),
          });
      }
    }).observe({ type: "layout-shift", buffered: true });
  });
  await prepare(page);

  const all = {
    page,
    label,
    claim: (text, holds, detail) => check(`${label}: ${text}`, holds, detail),
    async go(route) {
      await page.goto(`${options.base}${route}`);
      // The same address with another hash does not load again; the tests want a page that starts.
      await page.reload();
      if (options.token && signsIn) await signIn(page, options.token);
      await page.locator("main h1").first().waitFor();
    },
    /** Whatever must hold of every page: no violation, no scroll to the side, nothing jumped. */
    async audit(name, { shot = true } = {}) {
      for (const text of await page.evaluate(() =>
        [...document.querySelectorAll("button")]
          .filter((one) => one.checkVisibility() && !("mark" in one.dataset))
          .map(window.nameOf),
      ))
        buttons.seen.add(text);
      if (shot && options.out)
        await page.screenshot({
          path: join(options.out, `${name}-${theme}-${width}.png`),
          fullPage: !(await page.locator("dialog").count()),
        });
      await page.evaluate(axeSource);
      const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
      all.claim(
        `axe finds nothing on ${name}`,
        violations.length === 0,
        violations
          .map(
            (one) =>
              `${one.id}: ${one.help}: ${one.nodes
                .slice(0, 3)
                .map((node) => `${node.target} ${node.any[0]?.message ?? ""}`)
                .join(" | ")}`,
          )
          .join("\n       "),
      );
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      all.claim(`${name} does not scroll to the side`, wide <= 0, `${wide} px too wide`);
      const shifts = await page.evaluate(() => window.shifts);
      const sum = shifts.reduce((total, one) => total + one.value, 0);
      all.claim(
        `${name} does not jump (${sum.toFixed(3)})`,
        sum < 0.05,
        shifts.map((one) => `${one.value.toFixed(3)} ${one.of}`).join("\n       "),
      );
    },
    /** A choice made by a script is no input to the browser, so what moves because of it is forgotten once it came to rest. */
    async settle() {
      await page.waitForTimeout(600);
      await page.evaluate(() => {
        window.shifts = [];
      });
    },
    async close() {
      all.claim(
        "no errors, no failed requests, no other host",
        troubles.length === 0,
        [...new Set(troubles)].slice(0, 8).join("\n       "),
      );
      await context.close();
    },
  };
  return all;
}

export async function signIn(page, token) {
  const input = page.getByLabel("Token", { exact: true });
  await page.locator("main h1").first().waitFor();
  if (!(await input.count())) return;
  await input.fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
  await input.waitFor({ state: "detached" });
}
