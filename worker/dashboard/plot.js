// Pictures of numbers: a line over time, bars, ranges, and parts of a whole. Each says in words what it shows.

import { fill, h, say, svg } from "./dom.js";
import { clock, count, percent, rate, time } from "./format.js";

const WIDTH = 600;
const HEIGHT = 140;

/** A line over time, with its area. `update` takes `{at, rate}`, the oldest first. */
export class TimeLine {
  #area = svg("path", { class: "area" });
  #line = svg("path", { class: "curve", "vector-effect": "non-scaling-stroke" });
  #cursor = svg("path", { class: "cursor", "vector-effect": "non-scaling-stroke" });
  #picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img" }, this.#area, this.#line, this.#cursor);
  #most = h("span", { class: "axis top" });
  #from = h("span", {});
  #to = h("span", {});
  #value = h("span", { class: "strongest" });
  #points = [];

  constructor(unit) {
    this.unit = unit;
    this.element = h(
      "div",
      { class: "timeline" },
      h("div", { class: "canvas" }, this.#picture, this.#most, h("span", { class: "axis bottom", "aria-hidden": "true" }, "0")),
      h("div", { class: "axis", "aria-hidden": "true" }, this.#from, this.#value, this.#to),
    );
    this.#picture.addEventListener("pointermove", (event) => this.#point(event));
    this.#picture.addEventListener("pointerleave", () => {
      this.#cursor.setAttribute("d", "");
      say(this.#value, "");
    });
  }

  update(points) {
    this.#points = points;
    const most = scale(Math.max(...points.map((point) => point.rate), 0));
    const x = (at) => (points.length < 2 ? WIDTH : (at * WIDTH) / (points.length - 1));
    const y = (value) => HEIGHT - 2 - (value / most) * (HEIGHT - 12);
    const line = points.map((point, at) => `${at ? "L" : "M"}${x(at).toFixed(1)} ${y(point.rate).toFixed(1)}`).join("");
    this.#line.setAttribute("d", points.length > 1 ? line : "");
    this.#area.setAttribute("d", points.length > 1 ? `${line}L${WIDTH} ${HEIGHT}L0 ${HEIGHT}Z` : "");
    say(this.#most, `${rate(most)} ${this.unit}`);
    const [first, last] = [points[0], points.at(-1)];
    say(this.#from, first ? clock(first.at) : "");
    say(this.#to, last ? "now" : "");
    const highest = Math.max(0, ...points.map((point) => point.rate));
    this.#picture.setAttribute("aria-label", last ? `${rate(last.rate)} ${this.unit} now, at most ${rate(highest)} since ${clock(first.at)}` : "Nothing was measured yet");
  }

  #point(event) {
    const box = this.#picture.getBoundingClientRect();
    const at = Math.round(((event.clientX - box.left) / box.width) * (this.#points.length - 1));
    const point = this.#points[at];
    if (!point) return;
    const x = (at * WIDTH) / Math.max(1, this.#points.length - 1);
    this.#cursor.setAttribute("d", `M${x} 0V${HEIGHT}`);
    say(this.#value, `${rate(point.rate)} ${this.unit} at ${clock(point.at)}`);
  }
}

/** A round number that is at least `most`. */
export function scale(most) {
  if (!(most > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= most * 0.999);
}

/** A small line without words, beside a number that says the newest. */
export function spark(values) {
  const most = scale(Math.max(...values, 0));
  const d = values.map((value, at) => `${at ? "L" : "M"}${((at * 100) / Math.max(1, values.length - 1)).toFixed(1)} ${(27 - (value / most) * 24).toFixed(1)}`).join("");
  return svg("svg", { class: "spark", viewBox: "0 0 100 28", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("path", { d, class: "curve", "vector-effect": "non-scaling-stroke" }));
}

/** Bars of `{name, value, href?, tone?, text?}`, the longest filling the width; of 0 there is none. */
export function bars(rows, unit) {
  const most = Math.max(1, ...rows.map((row) => row.value));
  const bar = (row) =>
    h(
      "li",
      { class: "bar-row" },
      row.href ? h("a", { href: row.href, class: "bar-name" }, row.name) : h("span", { class: "bar-name" }, row.name),
      h("span", { class: "bar-track", "aria-hidden": "true" }, row.value > 0 && h("span", { class: `bar-fill ${row.tone ?? ""}`, style: { width: `${(row.value * 100) / most}%` } })),
      h("span", { class: "bar-value" }, row.text ?? count(row.value), unit && h("span", { class: "hidden" }, ` ${unit}`)),
    );
  return h("ul", { class: "bars" }, rows.map(bar));
}

/** For each of `{name, low, high}` in milliseconds, the range between the two on one logarithmic scale; up to 0 none. */
export function ranges(rows) {
  const highs = rows.map((row) => row.high).filter((value) => value > 0);
  const lows = rows.map((row) => row.low).filter((value) => value > 0);
  const floor = Math.log10(Math.max(0.1, Math.min(...lows, 1)));
  const ceiling = Math.max(Math.log10(Math.max(...highs, 1)), floor + 1);
  const at = (value) => Math.min(100, Math.max(0, ((Math.log10(Math.max(value, 0.1)) - floor) * 100) / (ceiling - floor)));
  const row = ({ name, low, high }) =>
    h(
      "li",
      { class: "bar-row" },
      h("span", { class: "bar-name" }, name),
      h(
        "span",
        { class: "bar-track", "aria-hidden": "true" },
        high > 0 && h("span", { class: "range", style: { left: `${at(low)}%`, width: `${Math.max(1.5, at(high) - at(low))}%` } }),
      ),
      h("span", { class: "bar-value pair" }, h("span", {}, time(low), h("span", { class: "hidden" }, " in the middle,")), h("span", { class: "dim" }, time(high), h("span", { class: "hidden" }, " for one in twenty"))),
    );
  return h("ul", { class: "bars" }, rows.map(row));
}

/** Parts of a whole: `{name, value, tone, href?}`. */
export function parts(rows, label) {
  const total = rows.reduce((sum, row) => sum + row.value, 0);
  const present = rows.filter((row) => row.value > 0);
  const entry = (row) => [h("span", { class: `dot ${row.tone}`, "aria-hidden": "true" }), h("span", {}, row.name), h("span", { class: "number" }, count(row.value)), h("span", { class: "dim number" }, percent(row.value, total))];
  return h(
    "div",
    { class: "parts" },
    h("div", { class: "parts-bar", role: "img", "aria-label": `${label}: ${present.map((row) => `${row.name} ${count(row.value)}`).join(", ") || "none"}` }, present.map((row) => h("span", { class: `fill ${row.tone}`, style: { "flex-grow": String(row.value) } }))),
    h("ul", { class: "legend" }, rows.map((row) => h("li", {}, row.href ? h("a", { href: row.href }, entry(row)) : entry(row)))),
  );
}

/** Draws anew only where the numbers are others. */
export function kept(place) {
  let known = null;
  return (key, make) => {
    const text = JSON.stringify(key);
    if (text === known) return;
    known = text;
    // A link in it may have the focus: it is the same link afterwards.
    const links = [...place.querySelectorAll("a, button")];
    const at = links.indexOf(document.activeElement);
    fill(place, make());
    if (at >= 0) place.querySelectorAll("a, button")[at]?.focus({ preventScroll: true });
  };
}
