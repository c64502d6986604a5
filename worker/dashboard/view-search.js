// Search: words and meaning in one list, narrowed by facets, each hit with where it stands and why it is there.

import { ask } from "./api.js";
import { announce, fill, h, icon } from "./dom.js";
import { count, kindOf, languageOf, many, marked, nameOf, placeOf, shown, time, words } from "./format.js";
import { blank, documentLink, head, skeleton, trouble } from "./parts.js";

export const title = "Search";

/** Hits fetched at once. */
const PAGE = 20;
/** Values of a facet that are shown. */
const VALUES_MAX = 8;
const FACETS = { mediaType: ["mediaTypes", "Kind", kindOf], language: ["languages", "Language", languageOf], category: ["categories", "Category", words] };

export function open(place, { query, signal, live, replace }) {
  const filter = Object.fromEntries(Object.values(FACETS).map(([name]) => [name, query.getAll(name)]));
  let explain = query.get("explain") === "true";
  const field = h("input", { id: "q", type: "search", "data-first": true, value: query.get("q") ?? "", maxlength: 8192, autocomplete: "off", placeholder: "Words, or a question" });
  const form = h("form", { class: "ask-line", role: "search", "aria-label": "Documents", on: { submit: (event) => {
    event.preventDefault();
    run();
  } } }, h("label", { class: "hidden", for: "q" }, "Search for"), field, h("button", { type: "submit", class: "strong" }, icon("search"), "Search"));
  const box = h("input", { type: "checkbox", id: "explain", on: { change: () => {
    explain = box.checked;
    run();
  } } });
  box.checked = explain;
  const said = h("p", { class: "facts", role: "status" });
  const facets = h("div", { class: "facets" });
  const hits = h("div", { class: "hits" });
  const tools = h("div", { class: "tools" }, said, h("span", {}, box, " ", h("label", { for: "explain" }, "Explain scores")));
  fill(place, head("Search"), form, tools, h("div", { class: "with-facets" }, facets, hits));

  let running = null;
  let asked = "";

  async function run() {
    const text = field.value.trim();
    running?.abort();
    remember(text);
    if (!text) return start();
    const mine = (running = new AbortController());
    asked = text;
    fill(hits, skeleton(8, "Searching"));
    hits.setAttribute("aria-busy", "true");
    const began = performance.now();
    try {
      const answer = await page(text, undefined, mine.signal);
      const took = performance.now() - began;
      show(answer, took);
    } catch (problem) {
      if (problem.name === "AbortError") return;
      fill(said);
      fill(facets);
      fill(hits, trouble(problem, run));
    } finally {
      if (running === mine) hits.removeAttribute("aria-busy");
    }
  }

  const page = (text, cursor, of) =>
    ask("/v1/search", {
      method: "POST",
      body: { query: text, k: PAGE, cursor, filter, facets: cursor ? [] : Object.keys(FACETS), explain },
      signal: AbortSignal.any([signal, of]),
    });

  function remember(text) {
    const params = new URLSearchParams();
    if (text) params.set("q", text);
    for (const [name, values] of Object.entries(filter)) for (const value of values) params.append(name, value);
    if (explain) params.set("explain", "true");
    const rest = params.toString();
    replace(rest ? `#/search?${rest}` : "#/search");
  }

  function start() {
    asked = "";
    fill(said);
    fill(facets);
    const states = live.last.get("overview")?.documents;
    const lead = states && !states.committed ? "Nothing is searchable yet: hand in documents first." : `Exact words find exact words, and questions find what means the same${states ? `, in ${many(states.committed, "document")}` : ""}.`;
    fill(hits, blank("search", "Search what was read", lead));
  }

  function show(answer, took) {
    const filtered = Object.values(filter).some((values) => values.length);
    const how = answer.mode === "hybrid" ? "by words and meaning" : "by words alone";
    fill(said, answer.results.length ? `${many(answer.results.length, "hit")}${answer.next ? " and more" : ""} in ${time(took)}, ${how}` : "", answer.reason && h("span", { class: "dim" }, ` (${shown(answer.reason)})`));
    announce(answer.results.length ? `${many(answer.results.length, "hit")} for ${asked}` : `Nothing found for ${asked}`);
    drawFacets(answer);
    if (!answer.results.length) {
      const clear = h("button", { type: "button", on: { click: () => {
        for (const name of Object.keys(filter)) filter[name] = [];
        run();
      } } }, "Search everything");
      return fill(hits, blank("search", `Nothing found for “${shown(asked)}”`, filtered ? "Nothing of what was chosen on the side fits." : "Try fewer or other words. What was handed in a moment ago may still be being read.", filtered && clear));
    }
    const list = h("ol", { class: "results", "aria-label": "Hits" }, answer.results.map((hit) => result(hit)));
    fill(hits, list, more(list, answer.next));
  }

  /** The button for the next hits, which gives its place to them. */
  function more(list, next) {
    if (!next) return list.childElementCount > PAGE && h("p", { class: "foot" }, "These are all hits.");
    const button = h("button", { type: "button", class: "wide-button" }, "More hits");
    button.addEventListener("click", async () => {
      button.disabled = true;
      try {
        const answer = await page(asked, next, running.signal);
        const first = list.childElementCount;
        list.append(...answer.results.map((hit) => result(hit)));
        list.children[first]?.querySelector("a")?.focus();
        button.replaceWith(...[more(list, answer.next)].filter(Boolean));
      } catch (problem) {
        if (problem.name !== "AbortError") button.replaceWith(trouble(problem, () => fill(hits, list, more(list, next))));
      }
    });
    return button;
  }

  function drawFacets(answer) {
    const groups = Object.entries(FACETS).map(([facet, [name, label, called]]) => {
      const counts = answer.facets?.[facet] ?? [];
      const chosen = filter[name].filter((value) => !counts.some((one) => one.value === value)).map((value) => ({ value, documents: 0 }));
      const values = [...counts.slice(0, VALUES_MAX), ...chosen];
      if (!values.length) return null;
      const entry = ({ value, documents }, at) => {
        const id = `${facet}-${at}`;
        const input = h("input", { type: "checkbox", id, on: { change: () => {
          filter[name] = input.checked ? [...filter[name], value] : filter[name].filter((one) => one !== value);
          run().then(() => document.getElementById(id)?.focus({ preventScroll: true }));
        } } });
        input.checked = filter[name].includes(value);
        return h("li", {}, input, h("label", { for: id }, called(value)), h("span", { class: "dim number", title: "documents among the best hits" }, count(documents)));
      };
      return h("fieldset", {}, h("legend", {}, label), h("ul", { class: "plain" }, values.map(entry)));
    });
    const over = answer.facetsOver;
    fill(facets, groups, groups.some(Boolean) && over && h("p", { class: "dim small" }, `Documents among the best ${many(over, "passage")}`));
  }

  function result(hit) {
    const { document: of, snippet } = hit;
    const facts = [kindOf(of.mediaType), of.language && languageOf(of.language), of.category && words(of.category)].filter((fact) => fact && fact !== "–");
    return h(
      "li",
      { class: "hit", "data-document": of.id },
      h("p", { class: "hit-head" }, h("a", { href: documentLink(of.id, hit.page, { at: `${hit.start}-${hit.end}` }) }, h("bdi", {}, nameOf(of))), h("span", { class: "dim number small", title: "How well it fits, of 1" }, h("span", { class: "hidden" }, "Score "), hit.score.toFixed(3))),
      h("p", { class: "dim small" }, `Page ${count(hit.page)}`, hit.heading && [" · ", h("bdi", {}, shown(hit.heading))], facts.length > 0 && ` · ${facts.join(" · ")}`),
      h("p", { class: "snippet", dir: "auto" }, marked(snippet.text, snippet.highlights).map((part) => (part.mark ? h("mark", {}, part.text) : part.text))),
      h("p", { class: "dim small place" }, h("bdi", {}, placeOf(of.uri))),
      hit.alsoAt?.length > 0 && h("p", { class: "dim small" }, `The same text is also at ${hit.alsoAt.slice(0, 3).map(placeOf).join(", ")}${hit.alsoAt.length > 3 ? ` and ${count(hit.alsoAt.length - 3)} more places` : ""}`),
      hit.explain && explained(hit),
    );
  }

  if (field.value) run();
  else start();
  if (!field.value) field.focus({ preventScroll: true });
}

/** How a score came about: the part of the words and the part of the meaning, each against the best there was. */
function explained({ explain, score }) {
  const share = explain.wordsShare;
  const quotient = (value, best) => (best > 0 ? Math.min(1, Math.max(0, value / best)) : 0);
  const byWords = share * quotient(explain.words, explain.wordsBest);
  const byMeaning = (1 - share) * quotient(explain.meaning ?? 0, explain.meaningBest);
  const part = (name, value, of, tone) => value > 0 && h("span", { class: `fill ${tone}`, style: { "flex-grow": String(value) }, title: `${name}: ${value.toFixed(3)} of ${of.toFixed(3)}` });
  const rest = Math.max(0, 1 - byWords - byMeaning);
  const terms = explain.terms ?? [];
  return h(
    "div",
    { class: "explain" },
    h("div", { class: "parts-bar", role: "img", "aria-label": `Score ${score.toFixed(3)}: ${byWords.toFixed(3)} by words, ${byMeaning.toFixed(3)} by meaning` }, part("Words", byWords, share, "live"), part("Meaning", byMeaning, 1 - share, "good"), h("span", { class: "fill none", style: { "flex-grow": String(Math.max(rest, 0.001)) } })),
    h("p", { class: "small" }, h("span", { class: "dot live", "aria-hidden": "true" }), ` Words ${byWords.toFixed(3)} of ${share.toFixed(2)} `, h("span", { class: "dot good", "aria-hidden": "true" }), ` Meaning ${byMeaning.toFixed(3)} of ${(1 - share).toFixed(2)}`),
    terms.length > 0 && h("p", { class: "small dim" }, "Words asked for, rarest first: ", [...terms].sort((one, other) => other.rarity - one.rarity).map((term, at) => [at ? ", " : "", h("bdi", {}, shown(term.term)), ` (in ${many(term.chunks, "chunk")})`])),
    explain.question && h("p", { class: "small dim break" }, "Asked of the store: ", h("code", {}, shown(explain.question))),
  );
}
