// One document: its state and times, the text of each page beside its image, and the manifest of what can be found.

import { ask, blob, pause } from "./api.js";
import { announce, fill, h, icon, say } from "./dom.js";
import { ago, bytes, clock, count, kindOf, languageOf, many, marked, nameOf, placeOf, prose, shown, time, words } from "./format.js";
import { action, card, documentLink, head, pill, sentence, skeleton, trouble } from "./parts.js";
import { bars } from "./plot.js";

export const title = "Document";

/** Chunks of the manifest that are shown at first. */
const CHUNKS_SHOWN = 100;
/** Time between two looks at a document that is being read, in milliseconds. */
const LOOK_MS = 1_000;
/** An image is asked for once its page stays so long, in milliseconds: who leafs through pages has none drawn in vain. */
const STAY_MS = 150;
/** How often an image is asked for again that others' images came before. */
const TRIES_MAX = 3;
/** How near an image has to come to be asked for. */
const NEAR = "200px";
/** What is said in the place of an image that is on its way. */
const IMAGE_COMES = "Waiting for the image of the page";

export function open(place, { parts, query, signal, live, replace }) {
  const id = parts[0] ?? "";
  const at = `/v1/documents/${encodeURIComponent(id)}`;
  const top = h("div", {});
  const failure = h("div", {});
  const pages = h("div", {});
  const below = h("div", { class: "grid" });
  fill(place, top, failure, pages, below);
  let known = null;
  let pager = null;

  async function load() {
    if (!known) fill(top, head("Document"), skeleton(7, "Loading the document"));
    try {
      show(await ask(at, { signal }));
    } catch (problem) {
      if (problem.name !== "AbortError" && !known) fill(top, head("Document"), trouble(problem, load));
    }
  }

  function show(one) {
    const text = JSON.stringify(one);
    if (text === known) return;
    const first = known === null;
    const focused = top.contains(document.activeElement);
    known = text;
    document.title = `${nameOf(one)} · docmill`;
    fill(top, header(one, at, signal, load));
    if (first || focused) top.querySelector("h1").focus({ preventScroll: true });
    fill(failure, one.failure && failureCard(one.failure));
    if (!one.committedAt || one.deleted) {
      pager?.end();
      pager = null;
      fill(below);
      return fill(pages, h("p", { class: "notice" }, one.deleted ? "The document is deleted: nothing of it is found any more." : one.failure ? "None of its text was kept." : "Its text is here as soon as it is read."));
    }
    pager ??= new Pager({ at, id, signal, replace, name: nameOf(one), total: one.pages ?? 1, wanted: parts[1] === "page" ? Number(parts[2]) : null, passage: passageOf(query) });
    if (!pages.contains(pager.element)) fill(pages, pager.element);
    manifest(below, at, one, signal);
  }

  load();
  let looked = 0;
  live.listen("overview", () => {
    if (!known || document.hidden || Date.now() - looked < LOOK_MS) return;
    const { state } = JSON.parse(known);
    // What has come to rest is looked at now and then: other content may come.
    if (!["queued", "processing"].includes(state) && Date.now() - looked < 10 * LOOK_MS) return;
    looked = Date.now();
    load();
  }, signal);
}

function header(one, at, signal, load) {
  const remove = async () => {
    await ask(at, { method: "DELETE", signal });
    announce("The document is deleted");
    load();
    return "Deleted";
  };
  const replay = async () => {
    await ask("/v1/dead-letters/replay", { method: "POST", body: { documents: [one.id] }, signal });
    announce("Queued again");
    load();
    return "Queued again";
  };
  const again = ["failed", "cancelled"].includes(one.state) && !one.deleted && action("Replay", replay, { tone: "strong" });
  const facts = [
    kindOf(one.mediaType) !== "–" && kindOf(one.mediaType),
    one.pages !== undefined && many(one.pages, "page"),
    one.chunks !== undefined && many(one.chunks, "chunk"),
    bytes(one.bytes),
    one.language && languageOf(one.language),
    one.generation > 1 && `content number ${count(one.generation)}`,
    one.committedAt ? `searchable since ${ago(one.committedAt, Date.now())}` : `handed in ${ago(one.changedAt, Date.now())}`,
  ].filter(Boolean);
  return [
    h("p", { class: "crumbs" }, h("a", { href: "#/documents" }, icon("back"), "Documents")),
    head(h("bdi", {}, nameOf(one)), null, again, !one.deleted && action("Delete", remove, { tone: "danger", sure: "Delete it for good?" })),
    h("p", { class: "facts", "data-state": one.state }, pill(one.deleted ? "deleted" : one.state), ` ${facts.join(" · ")}`),
    h("p", { class: "dim small break" }, h("bdi", {}, placeOf(one.uri))),
  ];
}

function failureCard(reason) {
  const where = [reason.stage && `in ${words(reason.stage).toLowerCase()}`, reason.page && `on page ${count(reason.page)}`].filter(Boolean).join(" ");
  return h(
    "section",
    { class: "card wide bad-edge", "aria-labelledby": "failure" },
    h("h2", { id: "failure" }, prose(sentence(reason.meaning))),
    h("p", {}, prose(sentence(reason.detail)), where && h("span", { class: "dim" }, ` (${where})`)),
    h("p", {}, h("strong", {}, "What to do: "), prose(sentence(reason.whatToDo))),
    reason.stderr && h("details", {}, h("summary", {}, "Last lines of its reader"), h("pre", { class: "log", tabindex: "0" }, prose(reason.stderr))),
  );
}

/** The pages, one at a time: the text, and the image where there is one. */
class Pager {
  #ended = new AbortController();
  #drawing = new AbortController();
  #nearness = null;
  #picture = null;
  #trial = 0;

  constructor({ at, id, signal, replace, name, total, wanted, passage }) {
    Object.assign(this, { at, id, replace, name, passage, total: Math.max(1, total) });
    signal.addEventListener("abort", () => this.end());
    this.before = h("button", { type: "button", class: "quiet square", "aria-label": "Page before", on: { click: () => this.go(this.page - 1) } }, icon("back"));
    this.after = h("button", { type: "button", class: "quiet square", "aria-label": "Next page", on: { click: () => this.go(this.page + 1) } }, icon("forward"));
    this.field = h("input", { type: "number", min: 1, max: this.total, id: "page", inputmode: "numeric", on: { change: () => this.go(Number(this.field.value)) } });
    this.text = h("div", { class: "page-text", role: "region", "aria-label": "Text of the page", tabindex: "0" });
    this.image = h("div", { class: "page-image" });
    this.body = h("div", { class: "page" }, this.image, this.text);
    this.element = h(
      "section",
      { class: "card wide", "aria-labelledby": "pages-title" },
      h("div", { class: "card-head" }, h("h2", { id: "pages-title" }, "Pages"), h("div", { class: "pager" }, this.before, h("label", { for: "page" }, "Page"), this.field, h("span", { class: "dim" }, `of ${count(this.total)}`), this.after)),
      this.body,
    );
    addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step || event.altKey || event.ctrlKey || event.metaKey || event.defaultPrevented || event.target.closest?.("input, textarea, select")) return;
      this.go(this.page + step);
    }, { signal: this.#ended.signal });
    this.go(wanted || 1, Boolean(wanted));
  }

  end() {
    this.#ended.abort();
    this.#forget();
  }

  /** Shows a page; `there` says that its address is the one that is open. */
  async go(number, there = false) {
    const page = Math.min(this.total, Math.max(1, Math.round(number) || 1));
    this.field.value = page;
    if (page === this.page) return;
    this.page = page;
    this.before.disabled = page === 1;
    this.after.disabled = page === this.total;
    if (!there && this.#trial) {
      this.replace(documentLink(this.id, page));
      this.passage = null;
    }
    this.#trial += 1;
    const mine = this.#trial;
    const stale = () => mine !== this.#trial || this.#ended.signal.aborted;
    this.body.dataset.page = page;
    fill(this.text, skeleton(9, "Loading the page"));
    this.#forget();
    // Most documents have images of all pages or of none, so the text keeps its width from page to page.
    fill(this.image, this.body.classList.contains("with-image") && skeleton(1, IMAGE_COMES));
    try {
      const answer = await ask(`${this.at}/pages/${page}`, { signal: this.#ended.signal });
      if (stale()) return;
      if (answer.hasImage) this.#expect(page);
      else this.#leave();
      fill(this.text, pageText(answer, this.passage));
      this.text.scrollTop = 0;
      this.text.querySelector("mark")?.scrollIntoView({ block: "center", behavior: "instant" });
    } catch (problem) {
      if (problem.name === "AbortError" || stale()) return;
      this.#leave();
      fill(this.text, trouble(problem, () => {
        this.page = null;
        this.go(page, true);
      }));
    }
  }

  /** No image is wanted any more: what is being drawn is given up. */
  #forget() {
    this.#drawing.abort();
    this.#nearness?.disconnect();
    this.image.removeAttribute("aria-busy");
    if (this.#picture) URL.revokeObjectURL(this.#picture);
    this.#picture = null;
  }

  /** The page has no image: all of the place is the text's. */
  #leave() {
    this.body.classList.remove("with-image");
    fill(this.image);
  }

  /** Asks for the image as soon as it comes near: on a phone it is below the text, where not everybody looks. */
  #expect(page) {
    this.#drawing = new AbortController();
    const { signal } = this.#drawing;
    this.body.classList.add("with-image");
    fill(this.image, skeleton(1, IMAGE_COMES));
    this.#nearness = new IntersectionObserver((seen) => {
      if (!seen.some((one) => one.isIntersecting)) return;
      this.#nearness.disconnect();
      this.#draw(page, signal);
    }, { rootMargin: NEAR });
    this.#nearness.observe(this.image);
  }

  async #draw(page, signal) {
    this.image.setAttribute("aria-busy", "true");
    try {
      await pause(STAY_MS, signal);
      const bytes = await this.#fetched(page, signal);
      if (signal.aborted) return;
      this.#picture = URL.createObjectURL(bytes);
      const alt = `Page ${count(page)} of ${this.name} as it looks`;
      const image = h("img", { src: this.#picture, alt, decoding: "async", on: { error: () => this.#missing(page, "The image cannot be shown.") } });
      fill(this.image, h("a", { href: this.#picture, target: "_blank", rel: "noopener", title: "Open the image in full size in a new tab" }, image, h("span", { class: "hidden" }, " (opens in full size in a new tab)")));
    } catch (problem) {
      if (problem.name !== "AbortError" && !signal.aborted) this.#missing(page, sentence(problem.message), problem.status !== 404);
    } finally {
      if (!signal.aborted) this.image.removeAttribute("aria-busy");
    }
  }

  /** The image's bytes; others' images come first a few times. */
  async #fetched(page, signal) {
    for (let trial = 1; ; trial += 1) {
      try {
        return await blob(`${this.at}/pages/${page}/image`, { signal });
      } catch (problem) {
        if (problem.code !== "drawing_busy" || trial >= TRIES_MAX) throw problem;
        await pause(1_000 * (problem.retryAfterS ?? 1), signal);
      }
    }
  }

  /** Says in its place why there is no image. */
  #missing(page, why, again = false) {
    fill(
      this.image,
      h("div", { class: "no-image", role: "status" }, icon("documents"), h("p", {}, prose(why)), again && h("button", { type: "button", class: "quiet", on: { click: () => this.#expect(page) } }, "Try again")),
    );
  }
}

/** What of the page led here: bytes of a hit, or words of a citation. */
function passageOf(query) {
  const [from, to] = (query.get("at") ?? "").split("-").map(Number);
  if (to > from) return { from, to };
  const text = query.get("find");
  return text ? { text } : null;
}

function pageText(answer, passage) {
  const { text = "", notes = [] } = answer;
  const told = notes.length > 0 && h("ul", { class: "notes" }, notes.map((note) => h("li", {}, [words(note.outcome), note.code ?? note.reason].filter(Boolean).map(shown).join(": "), note.detail && ` (${prose(note.detail)})`)));
  const alone = answer.noImage && h("p", { class: "dim small" }, prose(sentence(`No image beside it: ${answer.noImage}`)));
  if (!text.trim()) return [told, h("p", { class: "dim" }, "There is no text on this page."), alone];
  return [told, h("p", { class: "text", dir: "auto" }, pieces(text, passage).map((piece) => (piece.mark ? h("mark", {}, piece.text) : piece.text))), alone];
}

function pieces(text, passage) {
  if (passage?.text) {
    const at = text.indexOf(passage.text);
    if (at < 0) return [{ text: calm(prose(text)) }];
    const end = at + passage.text.length;
    return [{ text: calm(prose(text.slice(0, at))) }, { text: calm(prose(text.slice(at, end))), mark: true }, { text: calm(prose(text.slice(end))) }];
  }
  return marked(text, passage ? [[passage.from, passage.to]] : []).map((piece) => ({ ...piece, text: calm(piece.text) }));
}

/** Without the stretches of blanks that stand for white space between chunks. */
const calm = (text) => text.replace(/\n\n {12,}/g, "\n\n");

/** What the ledger says can be found of the document, and how long each stage took. */
async function manifest(place, at, one, signal) {
  const known = `${one.generation} ${one.committedAt}`;
  if (place.dataset.known === known) return;
  place.dataset.known = known;
  try {
    const answer = await ask(`${at}/manifest`, { signal });
    const stages = Object.entries(answer.stageMs ?? {}).filter(([, ms]) => ms > 0);
    const longest = stages.map(([stage, ms]) => ({ name: words(stage), value: ms, text: time(ms) }));
    const total = stages.reduce((sum, [, ms]) => sum + ms, 0);
    const lost = [answer.ocrPages > 0 && `${many(answer.ocrPages, "page")} recognised from images`, answer.lostPages > 0 && `${many(answer.lostPages, "page")} could not be read in full`].filter(Boolean).join(", ");
    fill(
      place,
      lost && h("p", { class: "notice wide" }, icon("letters"), `${lost}.`),
      stages.length > 0 && card("Where its time went", { note: h("span", { class: "dim" }, `${time(total)} in all`) }, bars(longest)),
      card("Manifest", { wide: !stages.length, note: h("span", { class: "dim" }, `content number ${count(answer.generation ?? one.generation)}, committed ${clock(one.committedAt)}`) }, chunks(answer, one.id)),
    );
  } catch (problem) {
    delete place.dataset.known;
    if (problem.name !== "AbortError") fill(place, trouble(problem, () => manifest(place, at, one, signal)));
  }
}

function chunks({ chunks: all, chunksInAll }, id) {
  const list = h("ol", { class: "chunks" });
  const foot = h("p", { class: "dim small" });
  const rest = h("button", { type: "button", class: "quiet", on: { click: () => draw(list.childElementCount + CHUNKS_SHOWN) } }, "Show more");
  const row = (chunk) =>
    h("li", {}, h("a", { href: documentLink(id, chunk.page, { at: `${chunk.start}-${chunk.end}` }) }, `p. ${count(chunk.page)}`), h("bdi", { class: "grow" }, chunk.heading ? shown(chunk.heading) : h("span", { class: "dim" }, "no heading")), h("span", { class: "dim number small" }, `${count(chunk.start)}–${count(chunk.end)}`));
  const draw = (most) => {
    for (const chunk of all.slice(list.childElementCount, most)) list.append(row(chunk));
    say(foot, all.length > list.childElementCount ? `${count(list.childElementCount)} of ${many(chunksInAll, "chunk")}` : many(chunksInAll, "chunk"));
    rest.hidden = all.length <= list.childElementCount;
  };
  draw(CHUNKS_SHOWN);
  return [list, foot, rest];
}
