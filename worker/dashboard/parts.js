// What many views show: heads, pills, meters, and what stands where there is nothing, not yet, or an error.

import { path } from "./api.js";
import { announce, coded, fill, h, icon } from "./dom.js";
import { prose, shown, words } from "./format.js";

/** The head of a view; its title is what the keyboard lands on. */
export function head(title, lead, ...actions) {
  const heading = h("h1", { tabindex: "-1" }, title);
  return h("div", { class: "head" }, h("div", {}, heading, lead && h("p", { class: "lead" }, lead)), h("div", { class: "actions" }, actions));
}

/** A part of a view with a title of its own. */
export function card(title, options, ...children) {
  const { note, wide, id } = options ?? {};
  const name = id ?? `card-${title.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  return h(
    "section",
    { class: wide ? "card wide" : "card", "aria-labelledby": name },
    h("div", { class: "card-head" }, h("h2", { id: name }, title), note),
    children,
  );
}

const TONES = {
  committed: "good", done: "good", running: "live", processing: "live", queued: "calm", failed: "bad", cancelled: "calm",
  draining: "warn", drained: "warn", idle: "calm", busy: "live", deleted: "calm", superseded: "calm",
};
const NAMES = { committed: "Searchable", processing: "In work", queued: "Waiting", superseded: "Replaced" };

/** How a state is called where people read it. */
export const stateName = (state) => NAMES[state] ?? words(state);

/** A state in a colour and a word: never the colour alone. */
export function pill(state) {
  return h("span", { class: `pill ${TONES[state] ?? "calm"}` }, stateName(state));
}

/** How far something is. */
export function meter(percent, label, tone = "") {
  const value = Math.min(100, Math.max(0, percent));
  return h(
    "div",
    { class: `meter ${tone}`, role: "progressbar", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(value) },
    h("div", { class: "meter-done", style: { width: `${value}%` } }),
  );
}

/** There is nothing, and this is how there would be something. */
export function blank(picture, title, text, ...actions) {
  return h("div", { class: "blank" }, icon(picture), h("h2", {}, title), h("p", {}, coded(text)), actions.length > 0 && h("div", { class: "actions center" }, actions));
}

/** Its shape, while it comes. */
export function skeleton(rows = 6, label = "Loading") {
  const bars = Array.from({ length: rows }, (_, at) => h("div", { class: "bone", style: { width: `${92 - ((at * 17) % 40)}%` } }));
  return h("div", { class: "skeleton", role: "status", "aria-label": label }, bars);
}

/** What went wrong, what to do, and a way to try again. */
export function trouble(problem, again) {
  const facts = [problem.field && `Field: ${shown(problem.field)}`, problem.value && `Given: ${shown(problem.value)}`, problem.allowed && `Allowed: ${shown(problem.allowed)}`].filter(Boolean);
  return h(
    "div",
    { class: "trouble", role: "alert", "data-code": problem.code },
    icon("failed"),
    h(
      "div",
      {},
      h("h2", {}, prose(sentence(problem.message))),
      problem.whatToDo && h("p", {}, prose(sentence(problem.whatToDo))),
      facts.length > 0 && h("p", { class: "dim" }, facts.join(" · ")),
      h("p", { class: "dim small" }, `Code ${shown(problem.code)}`, problem.status ? ` · status ${problem.status}` : ""),
      again && h("button", { type: "button", on: { click: again } }, "Try again"),
    ),
  );
}

/** A message of a program as a sentence. */
export function sentence(text) {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(first) ? first : `${first}.`;
}

/** Most characters of a passage that stand in an address. */
const PASSAGE_CHARS_MAX = 160;

/** A link to where a document's text is; `passage` (bytes as `at`, or words as `find`) is marked there. */
export function documentLink(id, page, passage) {
  const base = `#/document/${encodeURIComponent(id)}${page ? `/page/${page}` : ""}`;
  return passage ? path(base, passage) : base;
}

/** Words by which a passage that is shown cut can be found in its page. */
export const findable = (snippet) => ({ find: [...snippet.replace(/^…|…$/g, "").trim()].slice(0, PASSAGE_CHARS_MAX).join("").trim() });

/** Shows the shape of `load`'s answer while it comes, then `show`s it, or what went wrong. Answers whether it came. */
export async function loaded(place, signal, load, show, bones) {
  fill(place, skeleton(bones));
  place.setAttribute("aria-busy", "true");
  try {
    const answer = await load();
    if (signal.aborted) return false;
    fill(place, show(answer));
    return true;
  } catch (problem) {
    if (signal.aborted || problem.name === "AbortError") return false;
    fill(place, trouble(problem, () => loaded(place, signal, load, show, bones)));
    return false;
  } finally {
    place.removeAttribute("aria-busy");
  }
}

/** A button that does something once at a time, and says what went wrong beside itself. */
export function action(label, work, options = {}) {
  const { tone = "", sure, picture } = options;
  const said = h("span", { class: "said", role: "status" });
  const button = h("button", { type: "button", class: tone }, picture && icon(picture), label);
  const name = h("span", { class: "action" }, button, said);
  let asked = false;
  const back = () => {
    asked = false;
    delete button.dataset.asked;
    fill(button, picture && icon(picture), label);
  };
  button.addEventListener("blur", () => asked && back());
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-disabled")) return;
    if (sure && !asked) {
      asked = true;
      button.dataset.asked = "true";
      fill(button, sure);
      announce(`${sure} Press again to confirm.`);
      return;
    }
    back();
    button.setAttribute("aria-disabled", "true");
    fill(said, "…");
    try {
      fill(said, (await work()) ?? "");
    } catch (problem) {
      fill(said, `${sentence(problem.message)} ${sentence(problem.whatToDo || "")}`.replace(/ \.$/, ""));
      said.classList.add("bad");
    } finally {
      button.removeAttribute("aria-disabled");
    }
  });
  return name;
}
