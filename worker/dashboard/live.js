// What the server tells by itself: one stream for the whole page, taken up again when it breaks. Views listen.

import { ask, events, pause, Problem } from "./api.js";

/** Points of the throughput that are kept: five minutes at one a second. */
const POINTS_MAX = 300;
/** Waits between two trials, in milliseconds; the last is repeated. */
const WAITS_MS = [500, 1_000, 2_000, 4_000, 8_000, 15_000];
/** A stream that says nothing for so long is lost: the server says something each second. */
const SILENCE_MAX_MS = 10_000;

export class Live extends EventTarget {
  /** `connecting`, `live` or `lost`. */
  state = "connecting";
  /** Since when. */
  since = Date.now();
  /** The newest of each event, by its name. */
  last = new Map();
  /** `{at, rate}`, the oldest first. */
  points = [];
  #ended = null;

  /** Begins, or begins anew with another key. */
  start() {
    this.#ended?.abort();
    this.#ended = new AbortController();
    this.last.clear();
    this.points = [];
    this.#turn("connecting");
    this.#follow(this.#ended.signal).catch(() => {});
  }

  /** Calls `take` with what is known, and with each event of this name. */
  listen(name, take, signal) {
    if (this.last.has(name)) take(this.last.get(name));
    this.addEventListener(name, (event) => take(event.detail), { signal });
  }

  async #follow(signal) {
    let failures = 0;
    for (;;) {
      let lost = null;
      try {
        if (!this.last.has("overview")) this.#take("overview", await ask("/v1/overview", { signal }));
        const silence = new AbortController();
        const both = AbortSignal.any([signal, silence.signal]);
        let timer = setTimeout(() => silence.abort(), SILENCE_MAX_MS);
        try {
          for await (const event of events("/v1/events", { signal: both })) {
            clearTimeout(timer);
            timer = setTimeout(() => silence.abort(), SILENCE_MAX_MS);
            failures = 0;
            const said = read(event.data);
            // The API is there and the ledger is not: what is shown is as old as the last word of it.
            if (event.name === "error") this.#turn("lost", new Problem(said ?? {}));
            else if (event.name === "overview") this.#turn("live");
            if (event.name !== "error") this.#take(event.name, said);
          }
        } finally {
          clearTimeout(timer);
        }
      } catch (problem) {
        if (signal.aborted) return;
        // A key is missing: whoever gives one starts again.
        if (problem.status === 401) return this.#turn("lost", problem);
        lost = problem;
      }
      if (signal.aborted) return;
      // The server ends each stream after a while, so that who reads it shows again that they may.
      if (!lost && failures === 0 && this.state === "live") {
        failures = 1;
        continue;
      }
      this.#turn("lost", lost);
      const wait = WAITS_MS[Math.min(failures, WAITS_MS.length - 1)];
      failures += 1;
      // Many pages that lost one server do not come back in the same moment.
      await pause(wait * (0.75 + Math.random() / 2), signal);
    }
  }

  #take(name, value) {
    if (!value) return;
    if (name === "overview") {
      this.points.push({ at: value.atMs, rate: value.ratePerS ?? 0 });
      if (this.points.length > POINTS_MAX) this.points.shift();
    }
    this.last.set(name, value);
    this.dispatchEvent(new CustomEvent(name, { detail: value }));
  }

  #turn(state, problem = null) {
    if (this.state === state && state !== "connecting") return;
    this.state = state;
    this.since = Date.now();
    this.problem = problem;
    this.dispatchEvent(new CustomEvent("state"));
  }
}

function read(data) {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}
