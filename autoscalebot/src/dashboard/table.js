// The charts as a table: the same numbers for those who cannot or do not want to read a picture.
import { h } from "./dom.js";
import { backendName, clock, number, time, withUnit } from "./words.js";

/** More rows are skipped evenly; a table of thousands helps nobody, and zooming gives finer ones. */
const ROWS = 120;

export function seriesTable(series) {
  const many = series.at_ms.length,
    step = Math.max(1, Math.ceil(many / ROWS));
  const rows = [];
  for (let i = many - 1; i >= 0; i -= step) {
    rows.push(
      h(
        "tr",
        {},
        h("th", { scope: "row" }, time(series.at_ms[i], clock(series.at_ms[i]))),
        series.signals.map((signal, s) => {
          const { mean, failures } = series.readings[s];
          return h("td", {}, mean[i] === null && failures[i] ? "failed" : withUnit(mean[i], signal.unit));
        }),
        h("td", {}, number(series.running[i])),
        h("td", {}, number(series.wanted[i])),
        h("td", {}, `${number(series.min[i])}–${number(series.max[i])}`),
      ),
    );
  }
  const caption =
    step === 1 ? "All points, newest first" : `Every ${step}th of ${many} points, newest first; zoom in for all`;
  return h(
    "table",
    {},
    h("caption", {}, caption),
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        ["Time", ...series.signals.map((signal) => backendName(signal.backend)), "Running", "Wanted", "Allowed"].map(
          (text) => h("th", { scope: "col" }, text),
        ),
      ),
    ),
    h("tbody", {}, rows),
  );
}
