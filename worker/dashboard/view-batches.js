// Batches: how far each is, and stopping one.

import { ask, path } from "./api.js";
import { announce, fill, h, icon } from "./dom.js";
import { ago, count, many, rate, shown, time } from "./format.js";
import { action, blank, head, meter, pill, skeleton, trouble } from "./parts.js";
import { WindowedList } from "./list.js";
import { kept, parts } from "./plot.js";

export const title = "Batches";

const PAGE = 200;
const COLUMNS = [["first", "Batch"], ["state", "State"], ["progress", "Progress"], ["total", "Documents"], ["failed", "Failed"], ["when", "Made"]];
/** Time between two looks at batches that run, in milliseconds. */
const LOOK_MS = 2_000;

export function open(place, { query, signal, live, choose, replace }) {
  const body = h("div", {});
  const detail = h("div", { class: "detail" });
  let chosen = query.get("open");
  let list = null;
  let next;
  fill(place, head("Batches", "What was handed in together, and how far it is."), detail, body);

  const read = (cursor) => ask(path("/v1/batches", { limit: PAGE, cursor }), { signal });
  async function load() {
    fill(body, skeleton(6, "Loading batches"));
    try {
      show(await read());
    } catch (problem) {
      if (problem.name !== "AbortError") fill(body, trouble(problem, load));
    }
  }
  function show(first) {
    next = first.next;
    if (!first.batches.length) {
      const make = h("button", { type: "button", class: "strong", on: { click: choose } }, icon("upload"), "Choose files");
      return fill(body, blank("batches", "No batches yet", "Several files at once are a batch, and so is what `docmill run --server` hands in.", make));
    }
    const more = async () => {
      if (!next) return [];
      const page = await read(next);
      next = page.next;
      return page.batches;
    };
    list = new WindowedList({ kind: "batches", label: "Batches", noun: "batches", columns: COLUMNS, row, key: (one) => one.id, more, signal });
    fill(body, list.element);
    list.set(first.batches, !first.next);
  }

  function row(one) {
    const name = nameOf(one);
    const open_ = (event) => {
      event.preventDefault();
      select(one.id);
    };
    return h(
      "a",
      { href: `#/batches?open=${encodeURIComponent(one.id)}`, class: "cells batches", on: { click: open_ } },
      h("span", { class: "c-first" }, h("bdi", { class: "name" }, name), h("span", { class: "dim small place" }, one.etaS && one.state === "running" ? `${time(one.etaS * 1_000)} left at ${rate(one.ratePerS)}/s` : shown(one.id))),
      h("span", { class: "c-state" }, pill(one.state)),
      h("span", { class: "c-progress" }, h("span", { class: "number small" }, `${one.progressPercent} %`), h("span", { class: `meter ${one.documents.failed ? "part-bad" : ""}`, "aria-hidden": "true" }, h("span", { class: "meter-done", style: { width: `${one.progressPercent}%` } }))),
      h("span", { class: "c-total number" }, count(one.documents.total), h("span", { class: "hidden" }, " documents")),
      h("span", { class: `c-failed number ${one.documents.failed ? "bad" : ""}` }, count(one.documents.failed), h("span", { class: "unit" }, " failed")),
      h("span", { class: "c-when dim" }, h("time", { datetime: one.createdAt, title: one.createdAt }, ago(one.createdAt, Date.now()))),
    );
  }

  const drawDetail = kept(detail);
  async function select(id, focus = true) {
    chosen = id;
    replace(id ? `#/batches?open=${encodeURIComponent(id)}` : "#/batches");
    if (!id) return drawDetail([null], () => null);
    try {
      const one = await ask(`/v1/batches/${encodeURIComponent(id)}`, { signal });
      drawDetail([one], () => shownBatch(one));
    } catch (problem) {
      if (problem.name !== "AbortError") drawDetail([problem.message], () => trouble(problem, () => select(id)));
    }
    if (focus) {
      detail.querySelector("h2")?.focus({ preventScroll: true });
      scrollTo({ top: 0, behavior: "instant" });
    }
  }

  function shownBatch(one) {
    const { documents } = one;
    const cancel = async () => {
      const { cancelled } = await ask(`/v1/batches/${encodeURIComponent(one.id)}/cancel`, { method: "POST" });
      const text = `${many(cancelled, "document")} cancelled`;
      announce(text);
      return text;
    };
    const tones = [["committed", "Searchable", "good"], ["processing", "In work", "live"], ["queued", "Waiting", "calm"], ["failed", "Failed", "bad"], ["cancelled", "Cancelled", "mute"], ["superseded", "Replaced", "mute"]];
    return h(
      "section",
      { class: "card wide", "aria-labelledby": "batch-title", "data-batch": one.id },
      h("div", { class: "card-head" }, h("h2", { id: "batch-title", tabindex: "-1" }, h("bdi", {}, nameOf(one))), h("button", { type: "button", class: "quiet square", "aria-label": "Close this batch", on: { click: () => close() } }, icon("close"))),
      h("p", { class: "facts" }, pill(one.state), ` ${one.progressPercent} % of ${many(documents.total, "document")}`, one.ratePerS ? ` · ${rate(one.ratePerS)}/s` : "", one.state === "running" && Number.isFinite(one.etaS) ? ` · ${time(one.etaS * 1_000)} left` : "", ` · made ${ago(one.createdAt, Date.now())}`, one.cancelledAt ? ` · cancelled ${ago(one.cancelledAt, Date.now())}` : ""),
      parts(tones.map(([state, name, tone]) => ({ name, value: documents[state], tone })), "Documents of the batch"),
      h("div", { class: "actions" }, h("a", { class: "button", href: `#/documents?batch=${encodeURIComponent(one.id)}` }, "Its documents"), one.state === "running" && action("Cancel the batch", cancel, { tone: "danger", sure: `Cancel ${many(documents.queued + documents.processing, "document")}?` })),
    );
  }
  function close() {
    const at = list?.items.findIndex((one) => one.id === chosen) ?? -1;
    select(null);
    if (at >= 0) list.focus(at);
  }

  let looking = false;
  async function look() {
    if (looking || signal.aborted) return;
    looking = true;
    try {
      const page = await read();
      if (list) list.renew(page.batches);
      else if (page.batches.length && body.querySelector(".blank")) show(page);
      // A button that waits for its answer, or for a second click, stays as it is.
      if (chosen && !detail.querySelector("[data-asked], [aria-disabled]")) await select(chosen, false);
    } catch {
      // The line above says whether the server is away.
    }
    looking = false;
  }
  load();
  if (chosen) select(chosen, false);
  let looked = 0;
  let seen = "";
  live.listen("overview", (now) => {
    const key = JSON.stringify([now.documents, now.batchesRunning]);
    if (key === seen || document.hidden || Date.now() - looked < LOOK_MS) return;
    seen = key;
    looked = Date.now();
    look();
  }, signal);
}

const nameOf = (batch) => shown(batch.name?.trim() || `Batch ${batch.id.slice(0, 8)}`);
