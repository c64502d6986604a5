// Ask: a question, an answer as it comes, and for each statement the page it is from.

import { events, pause, Problem } from "./api.js";
import { announce, fill, h, icon, say } from "./dom.js";
import { cited, count, many, nameOf, prose, shown } from "./format.js";
import { blank, documentLink, findable, head, trouble } from "./parts.js";

export const title = "Ask";

/** Turns of the talk that go with a question. */
const TURNS_MAX = 6;
/** Of each so many characters. */
const TURN_CHARS_MAX = 2_000;
/** Trials to take a stream up again. */
const RESUMES_MAX = 4;

/** The talk lasts as long as the page, and goes on while its user looks up a citation. */
const talk = [];
let going = null;
/** The view that is open, which is told what changes. */
let view = null;

export function open(place, { query, signal, replace }) {
  const log = h("div", { class: "talk", role: "log", "aria-label": "Questions and answers", "aria-live": "off" });
  const field = h("textarea", { id: "question", rows: 1, maxlength: 8192, "data-first": true, placeholder: "Ask about your documents", on: {
    keydown: (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      submit();
    },
    input: () => grow(),
  } });
  const send = h("button", { type: "submit", class: "strong" }, icon("ask"), "Ask");
  const stop = h("button", { type: "button", on: { click: () => going?.abort() } }, icon("close"), "Stop");
  const form = h("form", { class: "ask-line", "aria-label": "Question", on: { submit: (event) => {
    event.preventDefault();
    submit();
  } } }, h("label", { class: "hidden", for: "question" }, "Your question"), field, send, stop);
  const anew = h("button", { type: "button", class: "quiet", on: { click: () => {
    going?.abort();
    talk.length = 0;
    show();
    field.focus();
  } } }, "Begin anew");
  fill(place, head("Ask", "Answers come from your documents alone, each with the pages it is from.", anew), log, form);

  const grow = () => {
    field.style.setProperty("height", "auto");
    field.style.setProperty("height", `${Math.min(field.scrollHeight + 2, 200)}px`);
  };
  const idle = () => {
    anew.hidden = !talk.length;
    send.hidden = Boolean(going);
    stop.hidden = !going;
  };
  const show = () => {
    idle();
    if (talk.length) fill(log, talk.map((turn) => turn.element));
    else fill(log, blank("ask", "What do you want to know?", "Without a model an answer is made of the sentences that fit best, and says so."));
  };
  const submit = () => {
    const question = field.value.trim();
    if (!question || going) return;
    field.value = "";
    grow();
    replace("#/ask");
    begin(question);
  };
  view = {
    idle: () => {
      const had = document.activeElement === stop;
      idle();
      if (had) field.focus({ preventScroll: true });
    },
    show: () => {
      show();
      log.lastElementChild?.scrollIntoView({ block: "end", behavior: "instant" });
    },
  };
  signal.addEventListener("abort", () => (view = null));
  show();
  const asked = query.get("q");
  if (asked && !going) {
    field.value = asked;
    submit();
  }
  field.focus({ preventScroll: true });
}

/** Asks, and takes the answer to its end. */
async function begin(question) {
  if (going) return;
  const history = talk.filter((turn) => turn.final).flatMap((turn) => [{ role: "user", content: turn.question }, { role: "assistant", content: turn.final.answer }]);
  const body = { question, history: history.slice(-TURNS_MAX).map((said) => ({ ...said, content: [...said.content].slice(0, TURN_CHARS_MAX).join("") })) };
  const turn = { question, text: "", sources: [], citations: [], problem: null, final: null };
  const answer = new Answer(turn, () => begin(question));
  turn.element = answer.element;
  talk.push(turn);
  const mine = (going = new AbortController());
  view?.show();
  try {
    for await (const event of resumed(body, mine.signal)) answer.take(event);
    if (!turn.final && !turn.problem) throw new Problem({ code: "answer_incomplete", detail: "the answer ended before its end", whatToDo: "Ask again." });
  } catch (problem) {
    answer.fail(problem.name === "AbortError" ? null : problem);
  }
  going = null;
  view?.idle();
}

/** Events of an answer; a stream that breaks is taken up where it broke. */
async function* resumed(body, signal) {
  let lastId = null;
  for (let trial = 0; ; trial += 1) {
    try {
      const run = lastId?.slice(0, lastId.lastIndexOf("-"));
      const stream = lastId ? events(`/v1/ask/${encodeURIComponent(run)}`, { signal, lastId }) : events("/v1/ask/stream", { method: "POST", body, signal });
      for await (const event of stream) {
        lastId = event.id ?? lastId;
        trial = 0;
        yield event;
        if (event.name === "final_answer" || event.name === "error") return;
      }
      // It ended without an end: as good as broken.
    } catch (problem) {
      if (problem.name === "AbortError" || problem.code !== "no_answer" || !lastId || trial >= RESUMES_MAX) throw problem;
    }
    if (!lastId || trial >= RESUMES_MAX) return;
    await pause(300 * 2 ** trial, signal);
  }
}

class Answer {
  #text = h("div", { class: "answer-text", dir: "auto" });
  #sources = h("div", { class: "sources" });
  #note = h("p", { class: "dim small" });
  #state = h("p", { class: "dim small searching" }, "Searching your documents…");
  #trouble = h("div", {});
  #queued = false;
  #told = 0;

  constructor(turn, again) {
    this.turn = turn;
    this.again = again;
    this.element = h(
      "article",
      { class: "turn", "aria-label": `Answer to: ${turn.question.slice(0, 120)}` },
      h("p", { class: "question", dir: "auto" }, prose(turn.question)),
      h("div", { class: "answer" }, this.#state, this.#text, this.#trouble, this.#note, this.#sources),
    );
    this.#draw();
  }

  take({ name, data }) {
    const { turn } = this;
    const said = JSON.parse(data);
    if (name === "search_results") {
      turn.sources = said.results;
      turn.reason = said.reason;
      say(this.#state, said.results.length ? `Reading ${many(said.results.length, "passage")}…` : "Nothing fits…");
    } else if (name === "message") {
      turn.text += said.delta;
      this.#sayAloud(false);
    } else if (name === "citation") {
      turn.citations.push(said);
    } else if (name === "final_answer") {
      turn.final = said;
      turn.text = said.answer;
      turn.citations = said.citations;
      this.#sayAloud(true);
    } else if (name === "error") {
      return this.fail(new Problem(said));
    }
    this.#soon();
  }

  /** What ended it, or nothing where the user did. */
  fail(problem) {
    this.turn.problem = problem ?? "stopped";
    this.#sayAloud(true);
    this.#draw();
  }

  /** Whole sentences, as a voice that is interrupted at each word says nothing. */
  #sayAloud(isEnd) {
    const rest = this.turn.text.slice(this.#told);
    const end = isEnd ? rest.length : Math.max(rest.lastIndexOf(". "), rest.lastIndexOf("? "), rest.lastIndexOf("! "), rest.lastIndexOf("\n")) + 1;
    if (end <= 0) return;
    this.#told += end;
    announce(prose(rest.slice(0, end)).replace(/\[(\d+)\]/g, " source $1 "));
  }

  /** At most once a frame, however fast words come. */
  #soon() {
    if (this.#queued) return;
    this.#queued = true;
    requestAnimationFrame(() => {
      this.#queued = false;
      const atEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 120;
      this.#draw();
      if (atEnd && this.element.isConnected) scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
    });
  }

  #draw() {
    const { turn } = this;
    const { final, problem } = turn;
    this.#state.hidden = Boolean(turn.text || final || problem);
    this.element.dataset.state = problem ? "failed" : final ? "done" : "going";
    const link = (source) => h("a", { class: "cite", href: documentLink(source.document, source.page, findable(source.snippet)), title: `${nameOf(source)}, page ${source.page}`, "aria-label": `Source ${source.n}: ${nameOf(source)}, page ${source.page}` }, String(source.n));
    const paragraphs = turn.text.trim() ? turn.text.trim().split(/\n{2,}/) : [];
    fill(this.#text, paragraphs.map((part) => h("p", {}, cited(part, turn.sources).map((piece) => (piece.source ? link(piece.source) : piece.text)))));
    if (problem === "stopped") fill(this.#trouble, h("p", { class: "dim" }, "Stopped."));
    else fill(this.#trouble, problem && trouble(problem, this.again));
    say(this.#note, [final && (final.extractive ? "Made of sentences of the documents; no model wrote it." : `Written by ${shown(final.model)} from the pages below.`), final?.note && prose(final.note), turn.reason && `Searched by words alone: ${prose(turn.reason)}.`].filter(Boolean).join(" "));
    const used = new Set(turn.citations.map((source) => source.n));
    const row = (source) =>
      h("li", { class: used.has(source.n) ? "" : "unused" }, h("a", { href: documentLink(source.document, source.page, findable(source.snippet)) }, h("span", { class: "cite", "aria-hidden": "true" }, String(source.n)), h("bdi", {}, nameOf(source)), h("span", { class: "dim" }, ` p. ${count(source.page)}`)), h("p", { class: "dim small snippet", dir: "auto" }, prose(source.snippet)));
    const done = final || problem;
    const listed = done ? turn.sources.filter((source) => used.has(source.n)) : [];
    const others = done ? turn.sources.filter((source) => !used.has(source.n)) : [];
    const key = JSON.stringify([listed.map((source) => source.n), others.length, Boolean(done)]);
    if (this.#sources.dataset.key === key) return;
    this.#sources.dataset.key = key;
    fill(
      this.#sources,
      listed.length > 0 && [h("h2", {}, "Sources"), h("ol", { class: "plain" }, listed.map(row))],
      others.length > 0 && h("details", {}, h("summary", {}, `${many(others.length, "passage")} found and not cited`), h("ol", { class: "plain" }, others.map(row))),
    );
  }
}
