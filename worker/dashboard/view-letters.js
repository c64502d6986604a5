// Dead letters: what was given up, why, what to do, and having it done again.

import { ask, path } from "./api.js";
import { announce, fill, h } from "./dom.js";
import { ago, bytes, count, many, nameOf, placeOf, prose, words } from "./format.js";
import { WindowedList } from "./list.js";
import { action, blank, documentLink, head, sentence, skeleton, trouble } from "./parts.js";

export const title = "Dead letters";

const PAGE = 200;
const COLUMNS = [["first", "Document"], ["reason", "Reason"], ["where", "Where"], ["when", "Failed"]];
/** Requests of one replay: each is ten seconds of the server's at most. */
const ROUNDS_MAX = 100;

export function open(place, { query, signal, live, replace }) {
  let code = query.get("code") ?? "";
  const chips = h("div", { class: "chips", role: "group", "aria-label": "Reason" });
  const bar = h("div", { class: "actions" });
  const detail = h("div", { class: "detail" });
  const body = h("div", {});
  let failures = [];
  let list = null;
  let next;
  let trial = 0;

  const read = (cursor) => ask(path("/v1/dead-letters", { code, limit: PAGE, cursor }), { signal });

  const drawChips = () => {
    const known = failures.some((failure) => failure.code === code) || !code ? failures : [...failures, { code }];
    const at = [...chips.children].indexOf(document.activeElement);
    const chip = (value, text, number) => h("button", { type: "button", class: "chip", "aria-pressed": String(code === value), on: { click: () => pick(value) } }, text, Number.isFinite(number) && h("span", { class: "dim number" }, ` ${count(number)}`));
    fill(chips, chip("", "All"), known.map((failure) => chip(failure.code, words(failure.code), failure.documents)));
    if (at >= 0) chips.children[at]?.focus({ preventScroll: true });
  };
  const pick = (value) => {
    code = value;
    replace(path("#/letters", { code }));
    drawChips();
    load();
  };

  async function load() {
    trial += 1;
    const mine = trial;
    list = null;
    fill(bar);
    fill(detail);
    fill(body, skeleton(6, "Loading dead letters"));
    try {
      const first = await read();
      if (mine === trial) show(first);
    } catch (problem) {
      if (problem.name !== "AbortError" && mine === trial) fill(body, trouble(problem, load));
    }
  }

  function show(first) {
    next = first.next;
    if (!first.deadLetters.length) {
      fill(bar);
      return fill(body, code ? blank("done", "Nothing failed for this reason", "Other reasons are in the other lists.") : blank("done", "No dead letters", "Every document that was handed in was read, or still is being read."));
    }
    const more = async () => {
      if (!next) return [];
      const page = await read(next);
      next = page.next;
      return page.deadLetters;
    };
    const label = code ? `Replay all with ${words(code).toLowerCase()}` : "Replay all";
    fill(bar, action(label, () => replay(code ? { code } : { all: true }), { sure: "Sure? All are done again" }));
    list = new WindowedList({ kind: "letters", label: "Dead letters", noun: "dead letters", columns: COLUMNS, row, key: (one) => one.id, more, signal });
    fill(body, list.element);
    list.set(first.deadLetters, !first.next);
  }

  /** Goes on until none is left of those that were there when it began. */
  async function replay(which) {
    let done = 0;
    let untilMs;
    for (let round = 0; round < ROUNDS_MAX; round += 1) {
      const answer = await ask("/v1/dead-letters/replay", { method: "POST", body: { ...which, untilMs }, signal });
      done += answer.replayed;
      untilMs = answer.untilMs;
      if (!answer.remaining || !answer.replayed) break;
    }
    const text = `${many(done, "document")} queued again`;
    announce(text);
    look();
    return text;
  }

  function row(one) {
    const { reason } = one;
    return h(
      "a",
      { href: documentLink(one.id), class: "cells letters", on: { click: (event) => {
        if (event.metaKey || event.ctrlKey) return;
        event.preventDefault();
        openLetter(one);
      } } },
      h("span", { class: "c-first" }, h("bdi", { class: "name" }, nameOf(one)), h("bdi", { class: "dim small place" }, placeOf(one.uri))),
      h("span", { class: "c-reason" }, h("span", { class: "pill bad" }, words(reason.code)), h("span", { class: "small" }, prose(sentence(reason.meaning)))),
      h("span", { class: "c-where dim" }, reason.stage ? words(reason.stage) : "–", reason.page ? `, page ${count(reason.page)}` : ""),
      h("span", { class: "c-when dim" }, reason.failedAt ? h("time", { datetime: reason.failedAt, title: reason.failedAt }, ago(reason.failedAt, Date.now())) : "–"),
    );
  }

  function openLetter(one) {
    const { reason } = one;
    const again = action("Replay this document", async () => {
      const text = await replay({ documents: [one.id] });
      list?.remove(one.id);
      return text;
    }, { tone: "strong" });
    const close = h("button", { type: "button", class: "quiet", on: { click: () => {
      fill(detail);
      const at = list?.items.findIndex((item) => item.id === one.id) ?? -1;
      if (at >= 0) list.focus(at);
    } } }, "Close");
    const tries = [["starts", one.starts], ["deaths of its reader", one.extractorDeaths], ["failures that may have passed", one.transientFailures]].filter(([, number]) => number > 0);
    fill(
      detail,
      h(
        "section",
        { class: "card wide", "aria-labelledby": "letter-title", "data-letter": one.id },
        h("div", { class: "card-head" }, h("h2", { id: "letter-title", tabindex: "-1" }, h("bdi", {}, nameOf(one))), close),
        h("p", {}, h("span", { class: "pill bad" }, words(reason.code)), " ", prose(sentence(reason.meaning))),
        h("p", { class: "advice" }, h("strong", {}, "What to do: "), prose(sentence(reason.whatToDo))),
        h("dl", { class: "facts-list" }, fact("What happened", prose(reason.detail)), fact("Where", `${reason.stage ? words(reason.stage) : "–"}${reason.page ? `, page ${count(reason.page)}` : ""}`), fact("Document", placeOf(one.uri)), fact("Size", bytes(one.bytes)), fact("Content number", count(one.generation)), tries.length > 0 && fact("Trials", tries.map(([name, number]) => `${count(number)} ${name}`).join(", "))),
        reason.stderr && h("details", {}, h("summary", {}, "Last lines of its reader"), h("pre", { tabindex: "0", class: "log" }, prose(reason.stderr))),
        h("div", { class: "actions" }, again, h("a", { class: "button", href: documentLink(one.id) }, "Open the document")),
      ),
    );
    detail.querySelector("h2").focus({ preventScroll: true });
    scrollTo({ top: 0, behavior: "instant" });
  }

  let looking = false;
  async function look() {
    if (looking || signal.aborted) return;
    looking = true;
    const mine = trial;
    try {
      const page = await read();
      if (mine !== trial) return;
      // Replayed ones go from anywhere in the list, so it is taken as it is now.
      const first = list?.items.slice(0, page.deadLetters.length);
      if (JSON.stringify(first?.map((one) => one.id)) !== JSON.stringify(page.deadLetters.map((one) => one.id))) {
        if (list && page.deadLetters.length && !detail.contains(document.activeElement) && !list.list.contains(document.activeElement)) {
          next = page.next;
          list.set(page.deadLetters, !page.next);
        } else if (!list || !page.deadLetters.length) show(page);
        else list.renew(page.deadLetters);
      }
    } catch {
      // The line above says whether the server is away.
    } finally {
      looking = false;
    }
  }

  fill(place, head("Dead letters", "Documents that could not be read, each with its reason. A replay does each once.", bar), chips, detail, body);
  drawChips();
  load();
  let seen = null;
  live.listen("overview", (now) => {
    failures = now.failures ?? [];
    const key = JSON.stringify(failures);
    if (key === seen) return;
    const first = seen === null;
    seen = key;
    drawChips();
    if (!first && !document.hidden) look();
  }, signal);
}

const fact = (name, text) => h("div", {}, h("dt", {}, name), h("dd", {}, h("bdi", {}, text)));
