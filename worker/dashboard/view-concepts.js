// The concept graph: one concept in the middle, its neighbours around it, and a step to any of them; beside it lists
// that say the same in words, and the way between two concepts.

import { ask, path } from "./api.js";
import { announce, fill, h, icon, svg } from "./dom.js";
import { count, many, nameOf, shown, words } from "./format.js";
import { blank, card, documentLink, head, loaded, sentence, skeleton, trouble } from "./parts.js";
import { around, SIZE, towards } from "./radial.js";

export const title = "Concepts";

/** Concepts of the list that are fetched at once. */
const PAGE = 100;
/** Wait after a letter before the list is asked for, in milliseconds. */
const TYPING_MS = 200;
/** Longest name drawn in the picture, in characters; the list has it whole. */
const NAME_CHARS_MAX = 26;

export function open(place, { parts, query, signal, replace }) {
  const field = h("input", { id: "prefix", type: "search", autocomplete: "off", placeholder: "Concepts that begin with…", maxlength: 200, on: { input: () => typed() } });
  const total = h("p", { class: "dim small", role: "status" });
  const list = h("div", { class: "concept-list" });
  const stage = h("div", { class: "stage" });
  fill(
    place,
    head("Concepts", "What your documents talk about, and what stands beside what."),
    h("div", { class: "with-list" }, h("div", { class: "side" }, h("label", { class: "hidden", for: "prefix" }, "Concepts that begin with"), field, total, list), stage),
  );
  let trail = [];
  let trial = 0;
  let timer = null;
  signal.addEventListener("abort", () => clearTimeout(timer));

  const typed = () => {
    clearTimeout(timer);
    timer = setTimeout(read, TYPING_MS);
  };

  async function read() {
    trial += 1;
    const mine = trial;
    fill(list, skeleton(10, "Loading concepts"));
    try {
      const first = await page();
      if (mine !== trial) return;
      show(first);
      const wanted = parts[0];
      if (stage.childElementCount) return;
      if (query.get("to") && wanted) way(wanted, query.get("to"));
      else if (wanted) walk(wanted, false);
      else if (first.concepts.length) walk(first.concepts[0].canonicalName, false);
      else fill(stage, blank("concepts", "No concepts yet", "They are found in the text of documents while those are read: hand in some first."));
    } catch (problem) {
      if (problem.name !== "AbortError" && mine === trial) fill(list, trouble(problem, read));
    }
  }

  const page = (cursor) => ask(path("/v1/concepts", { prefix: field.value.trim(), limit: PAGE, cursor }), { signal });

  function show(first) {
    total.textContent = `${many(first.total, "concept")} in all`;
    if (!first.concepts.length) return fill(list, h("p", { class: "dim" }, field.value ? `None begins with “${shown(field.value)}”.` : "None yet."));
    const rows = h("ul", { class: "plain concepts" });
    const add = (found) => rows.append(...found.concepts.map(row));
    const rest = h("button", { type: "button", class: "wide-button", hidden: !first.next }, "More");
    const missed = h("p", { class: "bad small", role: "alert" });
    let { next } = first;
    rest.addEventListener("click", async () => {
      // Not `disabled`, which takes the focus away.
      if (rest.getAttribute("aria-disabled")) return;
      rest.setAttribute("aria-disabled", "true");
      fill(missed);
      try {
        const found = await page(next);
        const known = rows.childElementCount;
        add(found);
        markCentre();
        next = found.next;
        announce(`${count(rows.childElementCount)} of ${count(found.total)} concepts are listed`);
        if (!next && document.activeElement === rest) rows.children[known]?.querySelector("a")?.focus();
        rest.hidden = !next;
      } catch (problem) {
        if (problem.name !== "AbortError") fill(missed, `More could not be loaded: ${sentence(problem.message)}`);
      }
      rest.removeAttribute("aria-disabled");
    });
    add(first);
    rows.addEventListener("keydown", (event) => {
      const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
      const to = step && event.target.closest("li")?.[step]?.querySelector("a");
      if (!to) return;
      event.preventDefault();
      to.focus();
    });
    fill(list, rows, missed, rest);
    markCentre();
  }

  /** Marks in the list the concept that stands in the middle. */
  function markCentre() {
    for (const link of list.querySelectorAll("a")) {
      if (link.dataset.name === trail.at(-1)?.key) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  const row = (one) =>
    h("li", {}, h("a", { href: `#/concepts/${encodeURIComponent(one.canonicalName)}`, "data-name": one.canonicalName, on: { click: (event) => follow(event, one.canonicalName) } }, h("span", { class: `kind ${one.kind}`, title: words(one.kind) }, h("span", { class: "hidden" }, `${words(one.kind)}: `)), h("bdi", { class: "grow break" }, shown(one.name)), h("span", { class: "dim number small" }, count(one.documents), h("span", { class: "hidden" }, " documents"))));

  function follow(event, name) {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    walk(name);
  }

  /** Goes to a concept; `focus` where the user did. */
  async function walk(name, focus = true) {
    const came = await loaded(stage, signal, () => ask(`/v1/concepts/${encodeURIComponent(name)}`, { signal }), (one) => {
      const here = { key: one.canonicalName, name: one.name };
      const known = trail.findIndex((step) => step.key === here.key);
      trail = known >= 0 ? trail.slice(0, known + 1) : [...trail, here].slice(-8);
      if (focus) replace(`#/concepts/${encodeURIComponent(one.canonicalName)}`);
      return detail(one);
    }, 8);
    if (came) markCentre();
    if (!came || !focus) return;
    stage.querySelector("h2")?.focus({ preventScroll: true });
    if (matchMedia("(max-width: 900px)").matches) stage.scrollIntoView({ block: "start" });
  }

  function detail(one) {
    const crumbs = trail.length > 1 && h("nav", { class: "crumbs", "aria-label": "Where you came from" }, h("ol", {}, trail.map((step, at) => h("li", {}, at === trail.length - 1 ? h("span", { "aria-current": "true" }, h("bdi", {}, shown(step.name))) : h("button", { type: "button", class: "link", on: { click: () => walk(step.key) } }, h("bdi", {}, shown(step.name)))))));
    const neighbour = (other) => h("li", {}, h("a", { href: `#/concepts/${encodeURIComponent(other.name)}`, class: "grow break", on: { click: (event) => follow(event, other.name) } }, h("bdi", {}, shown(other.name))), h("span", { class: "dim number small" }, many(other.chunks, "chunk")));
    const mention = (of) => h("li", {}, h("a", { href: documentLink(of.id, of.page), class: "grow break" }, h("bdi", {}, nameOf(of))), h("span", { class: "dim number small" }, `p. ${count(of.page)} · ${count(of.mentions)}×`));
    return [
      crumbs,
      h("div", { class: "card-head" }, h("h2", { class: "big", tabindex: "-1" }, h("bdi", {}, shown(one.name))), h("span", { class: "dim" }, `${words(one.kind)} · ${many(one.mentions, "mention")} in ${many(one.documents, "document")}`)),
      one.neighbours.length > 0 && picture(one),
      wayForm(one),
      h("div", { class: "grid" }, card("Stands beside", {}, one.neighbours.length ? h("ul", { class: "plain lines" }, one.neighbours.map(neighbour)) : h("p", { class: "dim" }, "Nothing: no other concept is in its chunks.")), card("Mentioned in", {}, h("ul", { class: "plain lines" }, one.mentionedIn.map(mention)))),
    ];
  }

  /** The graph around a concept. The list beside it is the same for who does not see it. */
  function picture(one) {
    const points = around(one.neighbours);
    const lines = points.map((point) => svg("line", { x1: 0, y1: 0, x2: point.x.toFixed(1), y2: point.y.toFixed(1), "stroke-width": (1 + 5 * point.weight).toFixed(1), class: "edge" }));
    const nodes = points.map((point, at) => {
      const other = one.neighbours[at];
      const dx = point.side === "middle" ? 0 : point.side === "start" ? 13 : -13;
      const dy = point.side === "middle" ? (point.y > 0 ? 24 : -15) : 4;
      const radius = 5 + 5 * point.weight;
      return svg("g", { class: "node", transform: `translate(${point.x.toFixed(1)} ${point.y.toFixed(1)})`, on: { click: () => walk(other.name) } }, svg("title", {}, `${shown(other.name)}: ${many(other.chunks, "chunk")} together`), svg("circle", { class: "hit-area", r: 20 }), svg("circle", { r: radius.toFixed(1) }), svg("text", { "text-anchor": point.side, x: dx, y: dy }, cut(shown(other.name))));
    });
    let at = -1;
    const pick = (next) => {
      nodes[at]?.classList.remove("picked");
      at = next;
      nodes[at].classList.add("picked");
      announce(`${shown(one.neighbours[at].name)}, ${many(one.neighbours[at].chunks, "chunk")} together with ${shown(one.name)}. Enter walks there.`);
    };
    const keys = (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      if (event.key.startsWith("Arrow")) {
        const next = towards(points, at, event.key);
        if (next >= 0) pick(next);
      } else if (event.key === "Enter" && at >= 0) walk(one.neighbours[at].name);
      else if (event.key === "Backspace" && trail.length > 1) walk(trail.at(-2).key);
      else return;
      event.preventDefault();
    };
    const drawing = svg("svg", { viewBox: `${-SIZE.width / 2} ${-SIZE.height / 2} ${SIZE.width} ${SIZE.height}`, class: "graph", "aria-hidden": "true", focusable: "false" }, lines, nodes, svg("circle", { class: "centre", r: 13 }), svg("text", { class: "centre-name", "text-anchor": "middle", y: 32 }, cut(shown(one.name))));
    return h("div", { class: "graph-box", tabindex: "0", role: "application", "aria-label": `Graph around ${shown(one.name)}: ${many(one.neighbours.length, "neighbour")}. Arrows choose one, Enter walks there, Backspace goes back. The list below has the same.`, on: { keydown: keys, focus: () => at < 0 && pick(0) } }, drawing);
  }

  function wayForm(one) {
    const to = h("input", { id: "to", type: "text", autocomplete: "off", maxlength: 200, required: true, placeholder: "another concept" });
    return h("form", { class: "way-form", on: { submit: (event) => {
      event.preventDefault();
      if (to.value.trim()) way(one.canonicalName, to.value.trim(), one.name);
    } } }, h("label", { for: "to" }, "How is it connected with"), to, h("button", { type: "submit" }, "Find the way"));
  }

  /** The shortest way between two concepts, with the page on which each step stands. */
  async function way(from, to, name = from) {
    replace(path(`#/concepts/${encodeURIComponent(from)}`, { to }));
    const back = h("button", { type: "button", class: "link", on: { click: () => walk(from) } }, icon("back"), "Back to ", h("bdi", {}, shown(name)));
    const load = () => ask(path(`/v1/concepts/${encodeURIComponent(from)}/path`, { to }), { signal });
    const came = await loaded(stage, signal, load, ({ steps }) => {
      const heading = h("h2", { class: "big", tabindex: "-1" }, h("bdi", {}, shown(name)), " to ", h("bdi", {}, shown(to)));
      if (!steps.length) return [back, heading, h("p", {}, "No way of six steps leads from one to the other: no chain of chunks mentions them.")];
      const step = ({ concept, via }) => h("li", {}, via && h("p", { class: "via dim small" }, "both on ", h("a", { href: documentLink(via.document, via.page) }, `page ${count(via.page)} of `, h("bdi", {}, nameOf(via)))), h("a", { class: "step", href: `#/concepts/${encodeURIComponent(concept)}`, on: { click: (event) => follow(event, concept) } }, h("bdi", {}, shown(concept))));
      return [back, heading, h("p", { class: "dim" }, `${many(steps.length - 1, "step")}: neighbours stand in the same chunk of text.`), h("ol", { class: "way" }, steps.map(step))];
    }, 5);
    if (came) stage.querySelector("h2")?.focus({ preventScroll: true });
  }

  read();
}

const cut = (name) => ([...name].length > NAME_CHARS_MAX ? `${[...name].slice(0, NAME_CHARS_MAX - 1).join("")}…` : name);
