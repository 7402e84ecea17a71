// One reading as a number, its state in a word, and a small scale that shows where it stands.
//
// Shared by the overview and the page of a process. The word is what counts; the scale repeats it for the eye.
import { h, setAttribute, setText } from "./dom.js";
import { backendName, level, thresholds, withUnit } from "./words.js";

const LEVEL = { high: "high", low: "low", fine: "fine" };

/** @returns {{element: HTMLElement, update: (signal: any) => void}} */
export function readingView() {
  const name = h("span", { class: "reading-name" });
  const value = h("b", { class: "reading-value" });
  const word = h("span", { class: "reading-word" });
  const zone = h("i", { class: "gauge-zone" }), needle = h("i", { class: "gauge-needle" });
  const gauge = h("span", { class: "gauge", "aria-hidden": "true" }, zone, needle);
  const limits = h("span", { class: "reading-limits" });
  const element = h("div", { class: "reading" }, h("span", { class: "reading-top" }, value, word, name), gauge, limits);
  return {
    element,
    update(signal) {
      const state = signal.failure ? "failed" : level(signal) ?? "none";
      setText(name, backendName(signal.backend));
      setText(value, signal.failure ? "no reading" : withUnit(signal.reading, signal.unit));
      setText(word, LEVEL[state] ?? "");
      setText(limits, signal.failure ? signal.failure.message : thresholds(signal));
      setAttribute(limits, "title", signal.failure ? signal.failure.message : null);
      setAttribute(element, "data-level", state);
      // Half as much again as the high threshold leaves room to see how far above it a reading is.
      const top = Math.max((signal.high ?? signal.low ?? 0) * 1.5, signal.reading ?? 0) || 1;
      const percent = (n) => `${Math.min(100, Math.max(0, (n / top) * 100)).toFixed(1)}%`;
      zone.style.left = percent(signal.low ?? 0);
      zone.style.right = `calc(100% - ${percent(signal.high ?? top)})`;
      needle.style.left = percent(signal.reading ?? 0);
    },
  };
}
