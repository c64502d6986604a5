// All documents, newest first, of any number.

import { ask, path } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { ago, bytes, count, kindOf, nameOf, placeOf, shown } from "./format.js";
import { WindowedList } from "./list.js";
import { blank, documentLink, head, pill, skeleton, stateName, trouble } from "./parts.js";

export const title = "Documents";

/** Documents fetched at once. */
const PAGE = 200;
/** Shortest time between two looks for what changed, in milliseconds. */
const LOOK_MS = 1_500;
const COLUMNS = [["first", "Document"], ["state", "State"], ["kind", "Kind"], ["pages", "Pages"], ["chunks", "Chunks"], ["size", "Size"], ["when", "Changed"]];
const STATES = ["", "queued", "processing", "committed", "failed", "cancelled"];

export function open(place, { query, signal, live, choose, replace }) {
  const filter = { state: STATES.includes(query.get("state") ?? "") ? query.get("state") ?? "" : "", batch: query.get("batch") ?? "" };
  const chips = h("div", { class: "chips", role: "group", "aria-label": "State" });
  const body = h("div", {});
  let counts = {};
  let list = null;
  let next;
  let trial = 0;

  const chip = (state) => {
    const number = state ? counts[state] : Object.values(counts).reduce((sum, one) => sum + one, 0);
    const text = state ? stateName(state) : "All";
    return h(
      "button",
      { type: "button", class: "chip", "aria-pressed": String(filter.state === state), "data-state": state, on: { click: () => choose_(state) } },
      text,
      !filter.batch && Number.isFinite(number) && h("span", { class: "dim number" }, ` ${count(number)}`),
    );
  };
  const drawChips = () => {
    const at = [...chips.children].indexOf(document.activeElement);
    fill(chips, STATES.map(chip));
    if (at >= 0) chips.children[at].focus({ preventScroll: true });
  };
  const choose_ = (state) => {
    filter.state = state;
    replace(path("#/documents", filter));
    drawChips();
    load();
  };
  const read = async (cursor) => ask(path("/v1/documents", { ...filter, limit: PAGE, cursor }), { signal });

  async function load() {
    trial += 1;
    const mine = trial;
    list = null;
    fill(body, skeleton(8, "Loading documents"));
    try {
      const first = await read();
      if (mine !== trial) return;
      show(first);
    } catch (problem) {
      if (problem.name !== "AbortError" && mine === trial) fill(body, trouble(problem, load));
    }
  }

  function show(first) {
    next = first.next;
    if (!first.documents.length) return fill(body, nothing(filter, choose, () => choose_("")));
    const more = async () => {
      if (!next) return [];
      const page = await read(next);
      next = page.next;
      return page.documents;
    };
    list = new WindowedList({ kind: "documents", label: "Documents", noun: "documents", columns: COLUMNS, row, key: (one) => one.id, more, signal });
    fill(body, list.element);
    list.set(first.documents, !first.next);
  }

  fill(place, head("Documents", "Everything that was handed in, the newest first.", h("button", { type: "button", class: "strong", on: { click: choose } }, icon("upload"), "Upload files")), filter.batch && batchNote(filter.batch), chips, body);
  drawChips();
  load();

  let looked = "";
  let looking = false;
  const look = async (now) => {
    counts = now.documents ?? {};
    const seen = JSON.stringify([counts, now.ratePerS > 0 ? now.atMs : 0]);
    if (seen === looked || looking) return;
    const first = looked === "";
    looked = seen;
    drawChips();
    if (first || document.hidden) return;
    looking = true;
    try {
      const mine = trial;
      const page = await read();
      if (mine === trial && list) list.renew(page.documents);
      else if (mine === trial && page.documents.length && body.querySelector(".blank")) show(page);
    } catch {
      // The line above says whether the server is away.
      looked = " ";
    }
    setTimeout(() => (looking = false), LOOK_MS);
  };
  live.listen("overview", look, signal);
}

function batchNote(batch) {
  return h("p", { class: "notice" }, "Only those of batch ", h("code", {}, shown(batch)), " · ", h("a", { href: "#/documents" }, "Show all"));
}

function nothing(filter, choose, all) {
  if (filter.state || filter.batch) return blank("documents", `Nothing is ${filter.state ? stateName(filter.state).toLowerCase() : "in this batch"}`, "Documents in other states are in the other lists.", h("button", { type: "button", on: { click: all } }, "Show all states"));
  return blank("documents", "No documents yet", "Drop files anywhere on this page, or hand in a folder with `docmill run FOLDER`.", h("button", { type: "button", class: "strong", on: { click: choose } }, icon("upload"), "Choose files"));
}

function row(one) {
  const number = (name, value) => h("span", { class: `c-${name} number` }, value === undefined ? h("span", { class: "dim" }, "–") : count(value), h("span", { class: "hidden" }, ` ${name}`));
  return h(
    "a",
    { href: documentLink(one.id), class: "cells documents" },
    h("span", { class: "c-first" }, h("bdi", { class: "name" }, nameOf(one)), h("bdi", { class: "dim small place" }, placeOf(one.uri))),
    h("span", { class: "c-state" }, pill(one.deleted ? "deleted" : one.state)),
    h("span", { class: "c-kind" }, kindOf(one.mediaType)),
    number("pages", one.pages),
    number("chunks", one.chunks),
    h("span", { class: "c-size number" }, bytes(one.bytes)),
    h("span", { class: "c-when dim" }, h("time", { datetime: one.changedAt, title: one.changedAt }, ago(one.changedAt, Date.now()))),
  );
}
