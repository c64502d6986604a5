// A list of any length: at most sixty of its rows are in the document, and more of it is fetched when its end comes near.

import { fill, h, say } from "./dom.js";
import { count } from "./format.js";

/** Rows in the document. */
const ROWS_MAX = 60;
/** Rows from the end at which more is fetched. */
const AHEAD = 80;
/** Rows that are kept: whoever wants more narrows the list. */
const KEPT_MAX = 20_000;

export class WindowedList {
  #items = [];
  #drawn = new Map();
  #height = 0;
  #more;
  #row;
  #key;
  #end = false;
  #fetching = false;
  #focused = -1;
  #noun;
  #queued = false;

  /**
   * `row(item)` makes the content of a row, whose first link or button is what the keyboard lands on; `key(item)` tells
   * items apart; `more()` resolves to the next items, empty at the end. `columns` are `[cell, name]`, and the sheet gives
   * the cells of a `kind` of list their widths.
   */
  constructor({ kind, label, noun, row, key, more, columns, signal }) {
    this.#row = row;
    this.#key = key;
    this.#more = more;
    this.#noun = noun;
    this.list = h("ul", { class: "rows", "aria-label": label, tabindex: "-1" });
    this.foot = h("p", { class: "foot", role: "status" });
    this.element = h("div", { class: "windowed" }, h("div", { class: `columns ${kind}`, "aria-hidden": "true" }, columns.map(([cell, name]) => h("span", { class: `c-${cell}` }, name))), this.list, this.foot);
    const again = () => this.#soon();
    addEventListener("scroll", again, { passive: true, signal });
    addEventListener("resize", () => {
      this.#height = 0;
      this.#soon();
    }, { signal });
    this.list.addEventListener("keydown", (event) => this.#keys(event));
    this.list.addEventListener("focusin", (event) => {
      const item = event.target.closest("li");
      if (item) this.#focused = Number(item.dataset.at);
    });
  }

  /** How many items are known. */
  get length() {
    return this.#items.length;
  }

  /** The items that are known. */
  get items() {
    return this.#items;
  }

  /** Puts these in the place of all; `end` where there are no more. */
  set(items, end = false) {
    this.#items = items.slice(0, KEPT_MAX);
    this.#end = end || this.#items.length >= KEPT_MAX;
    this.#forget();
    this.draw();
  }

  /** Takes a newer first page: what is in it comes first and as it is now, the others stay after it. */
  renew(page) {
    const keys = new Set(page.map(this.#key));
    const others = this.#items.filter((item) => !keys.has(this.#key(item)));
    const items = [...page, ...others].slice(0, KEPT_MAX);
    const same = items.length === this.#items.length && items.every((item, at) => JSON.stringify(item) === JSON.stringify(this.#items[at]));
    if (same) return;
    this.#items = items;
    this.#forget();
    this.draw();
  }

  /** Takes an item out. */
  remove(key) {
    this.#items = this.#items.filter((item) => this.#key(item) !== key);
    this.#forget();
    this.draw();
  }

  #forget() {
    for (const element of this.#drawn.values()) element.dataset.old = "true";
  }

  #soon() {
    if (this.#queued) return;
    this.#queued = true;
    requestAnimationFrame(() => {
      this.#queued = false;
      if (this.list.isConnected) this.draw();
    });
  }

  /** Draws what is in sight. */
  draw() {
    const total = this.#items.length;
    if (!this.#height && total) this.#measure();
    const height = this.#height || 56;
    const top = this.list.getBoundingClientRect().top;
    const inSight = Math.ceil(innerHeight / height);
    const before = Math.max(0, Math.floor((ROWS_MAX - inSight) / 2));
    const last = Math.max(0, total - ROWS_MAX);
    const from = Math.min(last, Math.max(0, Math.floor(-top / height) - before));
    const to = Math.min(total, from + ROWS_MAX);
    this.list.style.setProperty("padding-top", `${from * height}px`);
    this.list.style.setProperty("padding-bottom", `${(total - to) * height}px`);
    this.#place(from, to, total);
    const known = this.#end ? "" : " so far";
    say(this.foot, this.#fetching ? "Loading more…" : total ? `${count(total)} ${this.#noun}${known}` : "");
    if (!this.#end && !this.#fetching && to + AHEAD >= total) this.#fetch();
  }

  #measure() {
    const trial = this.#item(0, 1);
    this.list.append(trial);
    this.#height = trial.getBoundingClientRect().height;
    trial.remove();
  }

  #place(from, to, total) {
    const had = this.list.contains(document.activeElement) && document.activeElement !== this.list;
    const wanted = new Map();
    let previous = null;
    for (let at = from; at < to; at += 1) {
      const key = this.#key(this.#items[at]);
      let element = this.#drawn.get(key);
      if (!element || element.dataset.old) {
        const fresh = this.#item(at, total);
        if (element) {
          const focus = element.contains(document.activeElement);
          element.replaceWith(fresh);
          if (focus) fresh.querySelector("a, button")?.focus({ preventScroll: true });
        }
        element = fresh;
      }
      element.dataset.at = at;
      element.setAttribute("aria-posinset", at + 1);
      element.setAttribute("aria-setsize", this.#end ? total : -1);
      wanted.set(key, element);
      const next = previous ? previous.nextSibling : this.list.firstChild;
      if (next !== element) this.list.insertBefore(element, next);
      previous = element;
    }
    for (const [key, element] of this.#drawn) {
      if (wanted.get(key) !== element) element.remove();
    }
    this.#drawn = wanted;
    // The row that had the focus went out of sight: the list keeps it, and arrows go on from there.
    if (had && !this.list.contains(document.activeElement)) this.list.focus({ preventScroll: true });
  }

  #item(at) {
    return fill(h("li", { class: "row", "data-at": at }), this.#row(this.#items[at]));
  }

  async #fetch() {
    this.#fetching = true;
    try {
      const items = await this.#more();
      const keys = new Set(this.#items.map(this.#key));
      const fresh = items.filter((item) => !keys.has(this.#key(item)));
      if (!items.length) this.#end = true;
      this.#items.push(...fresh);
      if (this.#items.length >= KEPT_MAX) this.#end = true;
    } catch (problem) {
      if (problem.name === "AbortError") return;
      this.#end = true;
      this.#fetching = false;
      this.draw();
      fill(this.foot, "More could not be loaded. ", h("button", { type: "button", on: { click: () => {
        this.#end = false;
        this.draw();
      } } }, "Try again"));
      return;
    } finally {
      this.#fetching = false;
    }
    if (this.list.isConnected) this.draw();
  }

  #keys(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
    const last = this.#items.length - 1;
    let at = this.#focused;
    if (event.altKey || event.ctrlKey || event.metaKey || last < 0) return;
    if (event.key in steps) at = Math.min(last, Math.max(0, at + steps[event.key]));
    else if (event.key === "Home") at = 0;
    else if (event.key === "End") at = last;
    else return;
    event.preventDefault();
    this.focus(at);
  }

  /** Brings a row into sight and gives it the focus. */
  focus(at) {
    this.#focused = at;
    const height = this.#height || 56;
    const top = this.list.getBoundingClientRect().top + at * height;
    const margin = 96;
    if (top < margin) scrollBy({ top: top - margin, behavior: "instant" });
    else if (top + height > innerHeight - margin) scrollBy({ top: top + height - innerHeight + margin, behavior: "instant" });
    this.draw();
    this.list.querySelector(`li[data-at="${at}"]`)?.querySelector("a, button")?.focus({ preventScroll: true });
  }
}
