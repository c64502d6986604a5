// All at a glance: how fast, how much is left, how long, and what went wrong.

import { ask, path } from "./api.js";
import { fill, h, icon, say } from "./dom.js";
import { brief, count, many, nameOf, percent, rate, time, words } from "./format.js";
import { blank, card, documentLink, head, meter, pill, skeleton, trouble } from "./parts.js";
import { bars, kept, parts, ranges, spark, TimeLine } from "./plot.js";

export const title = "Overview";

/** Documents that came last, as many as are shown. */
const LATELY = 8;
/** Batches that are shown. */
const BATCHES = 5;
const TONES = { committed: "good", processing: "live", queued: "calm", failed: "bad", cancelled: "mute" };
const NAMES = { committed: "Searchable", processing: "In work", queued: "Waiting", failed: "Failed", cancelled: "Cancelled" };

export function open(place, { live, signal, choose }) {
  const body = h("div", { class: "grid" }, skeleton(9));
  const warning = h("div", {});
  fill(place, head("Overview", "What docmill is doing right now."), warning, body);
  let board = null;
  const failed = () => {
    if (board || live.state !== "lost" || !live.problem) return;
    fill(body, trouble(live.problem, () => live.start()));
  };
  live.addEventListener("state", failed, { signal });
  failed();
  const warn = kept(warning);
  live.listen("overview", (now) => {
    const empty = !Object.values(now.documents ?? {}).some((number) => number > 0);
    warn([now.queueReachable === false], () => now.queueReachable === false && h("p", { class: "notice warn", role: "alert" }, icon("letters"), "The queue does not answer. What is handed in meanwhile is safe in the ledger and begun when the queue is back."));
    if (empty) {
      board = null;
      if (!body.querySelector(".blank")) fill(body, welcome(choose));
      return;
    }
    if (!board) fill(body, (board = new Board(live, signal)).elements);
    board.show(now);
  }, signal);
}

function welcome(choose) {
  return blank(
    "upload",
    "Nothing here yet",
    "Drop files anywhere on this page, or hand in a folder with `docmill run FOLDER`. PDF, Office, HTML, mail, scans and much else: the first is searchable in about a second.",
    h("button", { type: "button", class: "strong", on: { click: choose } }, icon("upload"), "Choose files"),
  );
}

class Board {
  #rate = tile("Throughput");
  #left = tile("Left to do");
  #found = tile("Searchable");
  #dead = tile("Failed");
  #timeline = new TimeLine("documents/s");
  #states = h("div", {});
  #lanes = h("div", { class: "scroll", role: "region", "aria-label": "Lanes", tabindex: "0" });
  #stages = h("div", {});
  #cache = h("div", {});
  #failures = h("div", {});
  #batches = h("div", {});
  #lately = h("div", {});
  #drawn = new Map();
  #seen = null;
  #reading = false;
  #again = false;

  constructor(live, signal) {
    this.live = live;
    this.signal = signal;
    this.elements = [
      h("div", { class: "tiles" }, this.#rate.element, this.#left.element, this.#found.element, this.#dead.element),
      card("Throughput", { wide: true, note: h("span", { class: "dim" }, "since this page was opened, five minutes at most") }, this.#timeline.element),
      card("Documents", {}, this.#states),
      card("Lanes", { id: "lanes" }, this.#lanes),
      card("Time of a stage", { note: h("span", { class: "dim" }, "middle to slowest 5 %, on a logarithmic scale") }, this.#stages),
      card("Failures", { note: h("a", { href: "#/letters" }, "All dead letters") }, this.#failures),
      card("Running batches", { note: h("a", { href: "#/batches" }, "All batches") }, this.#batches),
      card("Answer cache", {}, this.#cache),
      card("Last documents", { wide: true, note: h("a", { href: "#/documents" }, "All documents") }, this.#lately),
    ];
    for (const place of [this.#states, this.#lanes, this.#stages, this.#cache, this.#failures, this.#batches, this.#lately]) this.#drawn.set(place, kept(place));
    live.listen("batches", (told) => this.#showBatches(told.batches ?? []), signal);
  }

  show(now) {
    const states = now.documents ?? {};
    const open = (states.queued ?? 0) + (states.processing ?? 0);
    const points = this.live.points;
    this.#rate.set(rate(now.ratePerS ?? 0), "documents a second", spark(points.slice(-60).map((point) => point.rate)));
    this.#left.set(count(open), open ? (Number.isFinite(now.etaS) ? `about ${time(now.etaS * 1_000)} at this rate` : "no estimate yet") : "all done");
    this.#found.set(count(states.committed ?? 0), `of ${many(Object.values(states).reduce((sum, number) => sum + number, 0), "document")}`);
    this.#dead.set(count(states.failed ?? 0), states.failed ? h("a", { href: "#/letters" }, "See why, and replay") : "none given up", null, states.failed ? "bad" : "");
    this.#timeline.update(points);
    this.#drawn.get(this.#states)([states], () => stateParts(states));
    this.#drawn.get(this.#lanes)([now.lanes, now.queueReachable], () => lanes(now.lanes ?? []));
    this.#drawn.get(this.#stages)([now.stages], () => stages(now.stages ?? []));
    this.#drawn.get(this.#cache)([now.cache], () => cache(now.cache));
    this.#drawn.get(this.#failures)([now.failures], () => failures(now.failures ?? []));
    const seen = JSON.stringify([states, now.batchesRunning]);
    if (seen !== this.#seen) {
      this.#seen = seen;
      this.#read(now);
    }
  }

  /** Reads the lists that no event carries, at most one after the other. */
  async #read(now) {
    if (this.#reading) {
      this.#again = true;
      return;
    }
    this.#reading = true;
    try {
      const lately = ask(path("/v1/documents", { limit: LATELY }), { signal: this.signal });
      const batches = this.live.last.has("batches") ? null : ask(path("/v1/batches", { limit: 50 }), { signal: this.signal });
      const { documents } = await lately;
      this.#drawn.get(this.#lately)(documents, () => latest(documents));
      if (batches) this.#showBatches((await batches).batches);
    } catch {
      // The stream says whether the server is away; the next change tries again.
      this.#seen = null;
    }
    this.#reading = false;
    if (this.#again && !this.signal.aborted) {
      this.#again = false;
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      if (!this.signal.aborted) this.#read(now);
    }
  }

  #showBatches(all) {
    const running = all.filter((batch) => batch.state === "running").slice(0, BATCHES);
    this.#drawn.get(this.#batches)(running, () => running.length ? h("ul", { class: "plain" }, running.map(batchRow)) : h("p", { class: "dim" }, "No batch is running."));
  }
}

function tile(name) {
  const value = h("p", { class: "figure" });
  const note = h("p", { class: "dim small" });
  const picture = h("div", { class: "tile-picture" });
  const element = h("div", { class: "tile", role: "group", "aria-label": name }, h("h2", {}, name), h("div", { class: "tile-row" }, value, picture), note);
  let known = null;
  const set = (text, under, plot, tone = "") => {
    say(value, text);
    value.className = `figure ${tone}`;
    if (typeof under === "string") say(note, under);
    else if (known !== under.textContent) fill(note, under);
    known = typeof under === "string" ? null : under.textContent;
    if (plot) fill(picture, plot);
  };
  return { element, set };
}

function stateParts(states) {
  const rows = Object.keys(NAMES).map((state) => ({ name: NAMES[state], value: states[state] ?? 0, tone: TONES[state], href: `#/documents?state=${state}` }));
  return parts(rows, "Documents by state");
}

function lanes(rows) {
  if (!rows.length) return h("p", { class: "dim" }, "Lanes are shown to keys with the scope admin.");
  const number = (value) => h("td", { class: "number" }, value === undefined ? h("span", { class: "dim", title: "not known while the queue does not answer" }, "?") : brief(value));
  const row = (lane) =>
    h("tr", {}, h("th", { scope: "row" }, words(lane.lane)), number(lane.waiting), number(lane.inFlight), number(lane.delayed), h("td", { class: `number ${lane.dead ? "bad" : ""}` }, brief(lane.dead)), h("td", { class: "number" }, lane.oldestAgeMs === undefined ? "–" : time(lane.oldestAgeMs)));
  return h("table", {}, h("thead", {}, h("tr", {}, ["Lane", "Waiting", "In flight", "Delayed", "Failed", "Oldest"].map((name, at) => h("th", { scope: "col", class: at ? "number" : "" }, name)))), h("tbody", {}, rows.map(row)));
}

function stages(rows) {
  if (!rows.length) return h("p", { class: "dim" }, "No document was committed lately.");
  return ranges(rows.map((row) => ({ name: words(row.stage), low: row.p50Ms, high: row.p95Ms })));
}

function cache(now) {
  const asked = (now?.hits ?? 0) + (now?.misses ?? 0);
  if (!asked) return h("p", { class: "dim" }, "Nothing was asked yet.");
  return [
    h("p", { class: "figure" }, percent(now.hits, asked)),
    h("p", { class: "dim small" }, `of ${many(asked, "question")} answered from memory; ${many(now.entries, "answer")} kept`),
    meter((now.hits * 100) / asked, "Questions answered from memory"),
  ];
}

function failures(rows) {
  if (!rows.length) return h("p", { class: "dim" }, "Nothing failed.");
  return bars(rows.map((row) => ({ name: words(row.code), value: row.documents, tone: "bad", href: `#/letters?code=${encodeURIComponent(row.code)}` })), "documents");
}

function batchRow(batch) {
  const name = nameOf({ title: batch.name, uri: batch.id });
  const eta = Number.isFinite(batch.etaS) ? `${time(batch.etaS * 1_000)} left` : "";
  return h("li", { class: "batch-line" }, h("a", { href: `#/batches?open=${encodeURIComponent(batch.id)}` }, name), h("span", { class: "dim number" }, `${batch.progressPercent.toFixed(0)} % ${eta && `· ${eta}`}`), meter(batch.progressPercent, `Progress of ${name}`));
}

function latest(documents) {
  return h("ul", { class: "plain" }, documents.map((one) => h("li", { class: "late" }, h("a", { href: documentLink(one.id) }, nameOf(one)), pill(one.deleted ? "deleted" : one.state))));
}
