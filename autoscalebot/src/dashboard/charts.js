// The charts of one process: its readings above, its processes below, over the same stretch of time.
//
// A chart draws what it is given and says what was zoomed to; it fetches nothing. Failures are crosses at the bottom, not
// gaps alone, because "could not measure" is a finding. Where nothing is known nothing is drawn. Nobody has to see the
// charts: the page gives a summary and a table of the same numbers, so the canvases are hidden from screen readers.
import { h } from "./dom.js";
import { withGaps } from "./history.js";
import { backendName, day, minute, number, second } from "./words.js";

const AXIS_WIDTH = 58;
/** Room for the names of the thresholds. */
const RIGHT = 36;
/** Phones get lower charts, so that two fit on a screen. */
const NARROW = 560;
const DAY_MS = 86_400_000;

/** Colours come from the style sheet, so that a change of theme needs only a new drawing. */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const FONT = '11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
/** A count holds until the next point, also when that is an empty one. */
const stepped = (u, ...rest) => uPlot.paths.stepped({ align: 1, alignGaps: 1 })(u, ...rest);

/** Labels of the axis of time: the time of day, and the day where a new one begins. */
function timeLabels(u, splits, _axis, _space, step) {
  let last = null;
  return splits.map((at) => {
    const today = day(at);
    if (step >= DAY_MS) return today;
    const text = step < 60_000 ? second(at) : minute(at);
    const label = last !== null && today !== last ? `${text}\n${today}` : text;
    last = today;
    return label;
  });
}

/** @param {string|null} unit `null` for the chart of processes, which is the lowest and carries the labels of time */
function axes(unit) {
  const common = {
    stroke: () => colour("muted"),
    font: FONT,
    grid: { stroke: () => colour("grid"), width: 1 },
    ticks: { show: false },
  };
  return [
    unit === null
      ? { ...common, values: timeLabels, space: 76, size: 36, gap: 6 }
      : { ...common, values: (u, splits) => splits.map(() => ""), space: 76, size: 8 },
    {
      ...common,
      size: AXIS_WIDTH,
      gap: 8,
      space: unit === null ? 22 : 30,
      incrs: unit === null ? [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000] : undefined,
      values: (u, splits) => splits.map(number),
    },
  ];
}

/** Lines at the thresholds, under the readings, with their names beside the chart, where they hide nothing. */
function drawThresholds(signal) {
  return (u) => {
    const ratio = uPlot.pxRatio,
      { ctx, bbox } = u,
      right = bbox.left + bbox.width;
    let above = -Infinity;
    ctx.save();
    ctx.lineWidth = ratio;
    ctx.font = `${11 * ratio}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    for (const [value, word, dash] of [
      [signal.high, "high", [6, 4]],
      [signal.low, "low", [2, 4]],
    ]) {
      if (value === null) continue;
      const y = Math.round(u.valToPos(value, "y", true));
      ctx.strokeStyle = ctx.fillStyle = colour(word);
      ctx.setLineDash(dash.map((n) => n * ratio));
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(right, y);
      ctx.stroke();
      // Two thresholds that are close together still have names of their own.
      above = Math.max(y, above + 12 * ratio);
      ctx.fillText(word, right + 5 * ratio, above);
    }
    ctx.restore();
  };
}

/** Crosses along the bottom, one for each point with failures. */
function drawFailures(failures) {
  return (u) => {
    const ratio = uPlot.pxRatio,
      { ctx, bbox } = u,
      arm = 3.5 * ratio;
    const y = bbox.top + bbox.height - 8 * ratio;
    ctx.save();
    ctx.strokeStyle = colour("bad");
    ctx.lineWidth = 1.75 * ratio;
    ctx.beginPath();
    const found = failures();
    for (let i = 0; i < found.length; i += 1) {
      if (!found[i]) continue;
      const x = u.valToPos(u.data[0][i], "x", true);
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      ctx.moveTo(x - arm, y - arm);
      ctx.lineTo(x + arm, y + arm);
      ctx.moveTo(x + arm, y - arm);
      ctx.lineTo(x - arm, y + arm);
    }
    ctx.stroke();
    ctx.restore();
  };
}

const most = (values) => values.reduce((top, value) => (value !== null && value > top ? value : top), 0);
const isNothing = (value) => value === null || value === undefined;

/** A point without a neighbour has no line and would not be seen, so it is a dot however many there are. */
function alone(u, index, all) {
  const values = u.data[index];
  const isAlone = (i) => !isNothing(values[i]) && isNothing(values[i - 1]) && isNothing(values[i + 1]);
  return all ? null : [...values.keys()].filter(isAlone);
}

const few = { show: (u, _series, from, to) => to - from < 40, filter: alone, size: 4 };

/**
 * `hover` is told a place in the series: of the point under the pointer, or of the last point before the gap there.
 *
 * @param {{zoom: (from: number, to: number) => void, hover: (index: number|null, inGap: boolean) => void}} told
 */
export function makeCharts(told) {
  const element = h("div", { class: "plots", "aria-hidden": "true" });
  /** @type {{u: any, height: (width: number) => number, data: () => any[]}[]} */
  let plots = [];
  let series = null,
    drawn = null,
    shape = "",
    from = 0,
    to = 1;

  function options(extra, height) {
    const width = element.clientWidth || 600;
    return {
      width,
      height: height(width),
      ms: 1,
      padding: [10, RIGHT, 0, 0],
      legend: { show: false },
      ...extra,
      scales: { x: { time: true, range: () => [from, to] }, ...extra.scales },
      cursor: {
        sync: { key: "history", filters: { pub: (type) => type === "mousemove" || type === "mouseleave" } },
        drag: { x: true, y: false, setScale: false },
        points: { size: 6 },
        y: false,
      },
      hooks: {
        ...extra.hooks,
        setSelect: [
          (u) => {
            const { left, width: wide } = u.select;
            if (wide < 4) return;
            const range = [u.posToVal(left, "x"), u.posToVal(left + wide, "x")];
            u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
            told.zoom(range[0], range[1]);
          },
        ],
        setCursor: [
          (u) => {
            if (u !== plots[0]?.u) return;
            const at = u.cursor.idx ?? null;
            told.hover(drawn.index[at] ?? null, drawn.isGap[at] ?? false);
          },
        ],
      },
    };
  }

  function readingPlot(signal, index) {
    const height = (width) => (width < NARROW ? 150 : 184);
    const data = () => {
      const { mean, lowest, highest } = drawn.readings[index];
      return [drawn.at_ms, highest, lowest, mean];
    };
    const hidden = { stroke: "transparent", width: 0, points: { show: false } };
    return {
      height,
      data,
      make: (box) =>
        new uPlot(
          options(
            {
              axes: axes(signal.unit ?? ""),
              series: [{}, hidden, hidden, { stroke: () => colour("line"), width: 1.75, points: few }],
              bands: [{ series: [1, 2], fill: () => colour("spread") }],
              scales: {
                y: {
                  range: () => [
                    0,
                    (Math.max(most(series.readings[index].highest), signal.high ?? 0, signal.low ?? 0) || 1) * 1.15,
                  ],
                },
              },
              hooks: {
                drawAxes: [drawThresholds(signal)],
                draw: [drawFailures(() => drawn.readings[index].failures)],
              },
            },
            height,
          ),
          data(),
          box,
        ),
    };
  }

  function processPlot() {
    const height = (width) => (width < NARROW ? 150 : 172);
    const data = () => [drawn.at_ms, drawn.max, drawn.min, drawn.wanted, drawn.running];
    const edge = { stroke: () => colour("edge"), width: 1, paths: stepped, points: { show: false } };
    return {
      height,
      data,
      make: (box) =>
        new uPlot(
          options(
            {
              axes: axes(null),
              series: [
                {},
                edge,
                edge,
                { stroke: () => colour("wanted"), width: 1.25, dash: [5, 4], paths: stepped, points: { show: false } },
                { stroke: () => colour("running"), width: 3, paths: stepped, points: { show: false } },
              ],
              bands: [{ series: [1, 2], fill: () => colour("band") }],
              scales: { y: { range: () => [0, Math.max(most(series.max), most(series.running), 1) + 0.6] } },
            },
            height,
          ),
          data(),
          box,
        ),
    };
  }

  function key(colourName, text, style = "") {
    return h("span", { class: "key" }, h("i", { class: style, data: { colour: colourName } }), text);
  }

  function build() {
    for (const { u } of plots) u.destroy();
    const parts = series.signals.map((signal, i) => [
      readingPlot(signal, i),
      [backendName(signal.backend), signal.unit ? ` in ${signal.unit}` : ""],
      [key("line", "mean"), key("spread", "lowest to highest", "area"), key("bad", "failed", "cross")],
    ]);
    parts.push([
      processPlot(),
      ["Processes"],
      [key("running", "running"), key("wanted", "wanted", "dashed"), key("band", "allowed", "area")],
    ]);
    const boxes = parts.map(([, title, keys]) =>
      h(
        "div",
        { class: "plot" },
        h("p", { class: "plot-title" }, h("b", {}, title), h("span", { class: "keys" }, keys)),
      ),
    );
    element.replaceChildren(...boxes);
    plots = parts.map(([plot], i) => ({ ...plot, u: plot.make(boxes[i]) }));
  }

  const resized = new ResizeObserver(() => {
    const width = element.clientWidth;
    for (const { u, height } of plots) if (u.width !== width && width > 0) u.setSize({ width, height: height(width) });
  });
  resized.observe(element);
  const redraw = () => {
    for (const { u } of plots) u.redraw(false);
  };
  addEventListener("themechange", redraw);

  return {
    element,
    /** Shows `next`, in its usual step, between two moments; charts are made anew only when the signals changed. */
    show(next, step, start, stop) {
      series = next;
      drawn = withGaps(next, step);
      from = start;
      to = stop;
      const now = JSON.stringify(next.signals);
      if (now !== shape) {
        shape = now;
        build();
        return;
      }
      for (const { u, data } of plots) u.setData(data());
    },
    /** Puts the cursor of all charts at a moment, or takes it away. */
    point(at) {
      for (const { u } of plots)
        u.setCursor(at === null ? { left: -10, top: -10 } : { left: u.valToPos(at, "x"), top: 10 }, false);
    },
    /** Where a moment is, in pixels from the left edge of the element. */
    left: (at) => AXIS_WIDTH + ((at - from) / (to - from)) * (element.clientWidth - AXIS_WIDTH - RIGHT),
    end() {
      resized.disconnect();
      removeEventListener("themechange", redraw);
      for (const { u } of plots) u.destroy();
    },
  };
}
