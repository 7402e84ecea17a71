// One reading as a number, its state in a word, and a small scale that shows where it stands.
//
// Shared by the overview and the page of a process. The word is what counts; the scale repeats it for the eye.
import { h, setAttribute, setText } from "./dom.js";
import { backendName, level, thresholds, withUnit } from "./words.js";

const LEVEL = { high: "high", low: "low", fine: "fine" };

/** Cloned for each reading: there may be thousands. */
const model = h(
  "div",
  { class: "reading" },
  h(
    "span",
    { class: "reading-top" },
    h("b", { class: "reading-value" }),
    h("span", { class: "reading-word" }),
    h("span", { class: "reading-limits" }),
  ),
  h(
    "span",
    { class: "gauge", "aria-hidden": "true" },
    h("i", { class: "gauge-zone" }),
    h("i", { class: "gauge-needle" }),
  ),
  h("span", { class: "reading-name" }),
);

/** @returns {{element: HTMLElement, update: (signal: any) => void}} */
export function readingView() {
  const element = /** @type {HTMLElement} */ (model.cloneNode(true));
  const [top, gauge, name] = element.children;
  const [value, word, limits] = top.children,
    [zone, needle] = gauge.children;
  return {
    element,
    update(signal) {
      const state = signal.failure ? "failed" : (level(signal) ?? "none");
      setText(value, signal.failure ? "no reading" : withUnit(signal.reading, signal.unit));
      setText(word, LEVEL[state] ?? "");
      setText(limits, thresholds(signal));
      const below = signal.failure
        ? `${backendName(signal.backend)}: ${signal.failure.message}`
        : backendName(signal.backend);
      setText(name, below);
      setAttribute(name, "title", signal.failure ? below : null);
      setAttribute(element, "data-level", state);
      // Half as much again as the high threshold leaves room to see how far above it a reading is.
      const end = Math.max((signal.high ?? signal.low ?? 0) * 1.5, signal.reading ?? 0) || 1;
      const share = (n) => Math.min(100, Math.max(0, (n / end) * 100)).toFixed(1);
      const percent = (n) => `${share(n)}%`;
      zone.style.left = percent(signal.low ?? 0);
      zone.style.right = `calc(100% - ${percent(signal.high ?? end)})`;
      // It is drawn elsewhere, and nothing is laid out anew.
      needle.style.setProperty("--at", share(signal.reading ?? 0));
    },
  };
}
