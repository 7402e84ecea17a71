// Small helpers that make and change elements.
//
// Text from the API may hold anything, so there is one way to put it on the page: as a text node. Nothing here, and
// nothing that uses it, takes HTML. Changing helpers touch the page only when something differs, because many rows are
// told about a tick and few of them change.

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {string} tag
 * @param {Record<string, any>} [props] attributes; `class`, `on` (listeners) and `data` are what they sound like; a value
 *   of `false`, `null` or `undefined` leaves the attribute out
 * @param {...any} children nodes, text, or lists of them; `null` and `false` are left out
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === false || value === null || value === undefined) continue;
    if (name === "on") for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
    else if (name === "data") Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  put(element, children);
  return element;
}

/** Appends `children`, text as text. */
function put(element, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
}

/** Replaces everything inside `element`. */
export function fill(element, ...children) {
  element.replaceChildren();
  put(element, children);
  return element;
}

/** @param {Element} element @param {string} text */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {Element} element @param {string} name @param {string|null} value */
export function setAttribute(element, name, value) {
  if (value === null) element.removeAttribute(name);
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** The outlines of all icons, drawn on a field of 16 by 16. */
const ICONS = {
  check: "M3.5 8.5l3 3 6-7",
  up: "M8 13V3.5M3.8 7.5L8 3.3l4.2 4.2",
  down: "M8 3v9.5M3.8 8.5L8 12.7l4.2-4.2",
  clock: "M8 4.5V8l2.5 1.5M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z",
  ceiling: "M2.5 2.8h11M8 13.5v-8M4.5 8.5L8 5l3.5 3.5",
  floor: "M2.5 13.2h11M8 2.5v8M4.5 7.5L8 11l3.5-3.5",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  lock: "M3.5 7.5h9v6h-9zM5.5 7.5V5a2.5 2.5 0 0 1 5 0v2.5",
  warning: "M8 2.2L14.6 13.5H1.4zM8 6.5v3.2M8 11.4v.4",
  question:
    "M5.8 6.2a2.2 2.2 0 1 1 3.3 1.9c-.8.5-1.1.9-1.1 1.7M8 11.8v.3M14.2 8A6.2 6.2 0 1 1 1.8 8a6.2 6.2 0 0 1 12.4 0z",
  cross: "M4 4l8 8M12 4l-8 8",
  stay: "M3.5 8h9",
  info: "M8 7.3v4M8 4.6v.3M14.2 8A6.2 6.2 0 1 1 1.8 8a6.2 6.2 0 0 1 12.4 0z",
  hand: "M3 13.5h10M8 2.5a2.6 2.6 0 0 1 0 5.2 2.6 2.6 0 0 1 0-5.2zM3.8 13.3c0-2.3 1.9-3.9 4.2-3.9s4.2 1.6 4.2 3.9",
  retry: "M13 8a5 5 0 1 1-1.6-3.7M13 2.5v3h-3",
  busy: "M8 1.8v2.4M8 11.8v2.4M1.8 8h2.4M11.8 8h2.4M3.6 3.6l1.7 1.7M10.7 10.7l1.7 1.7M3.6 12.4l1.7-1.7M10.7 5.3l1.7-1.7",
};

/** @param {keyof ICONS} name An icon never speaks for itself: text stands beside it, so readers of the screen skip it. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name] ?? ICONS.info);
  svg.append(path);
  return svg;
}

/** Changes which icon an existing one shows. */
export function setIcon(svg, name) {
  const path = /** @type {SVGPathElement} */ (svg.firstChild);
  if (path.getAttribute("d") !== ICONS[name]) path.setAttribute("d", ICONS[name] ?? ICONS.info);
}

let labels = 0;

/** A label above a control, tied to it, with an optional hint under it. */
export function field(label, control, hint) {
  labels += 1;
  control.id ||= `field-${labels}`;
  const note = hint ? h("span", { class: "hint", id: `${control.id}-hint` }, hint) : null;
  if (note) control.setAttribute("aria-describedby", note.id);
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control, note);
}

/** @param {[string, string][]} options value and text */
export function select(options, value, props = {}) {
  const element = h(
    "select",
    props,
    options.map(([key, text]) => h("option", { value: key }, text)),
  );
  if (value !== undefined && value !== null) element.value = value;
  return element;
}

/** Says something for a few seconds, at the edge of the page and to readers of the screen. */
export function toast(text, tone = "ok") {
  const box = document.getElementById("toasts");
  const one = h("p", { class: `toast ${tone}` }, icon(tone === "ok" ? "check" : "warning"), h("span", {}, text));
  box.append(one);
  // Long enough to read 300 letters, the longest reason there is.
  setTimeout(() => one.remove(), 8000);
}
