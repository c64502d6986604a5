// The page: its views by address, what stands around them, and the stream that feeds them.

import { hasKey, told, useKey } from "./api.js";
import { coded, fill, h, icon, say } from "./dom.js";
import { clock, count } from "./format.js";
import { Live } from "./live.js";
import { head, trouble } from "./parts.js";
import { shortcuts, showHelp, themes } from "./shortcuts.js";
import { droppable, Uploads } from "./upload.js";
import * as ask from "./view-ask.js";
import * as batches from "./view-batches.js";
import * as concepts from "./view-concepts.js";
import * as document_ from "./view-document.js";
import * as documents from "./view-documents.js";
import * as letters from "./view-letters.js";
import * as overview from "./view-overview.js";
import * as scaling from "./view-scaling.js";
import * as search from "./view-search.js";
import * as workers from "./view-workers.js";

const VIEWS = { overview, search, ask, concepts, documents, document: document_, batches, letters, workers, scaling };
/** What stands in the navigation: groups of views with the letter after `g`. */
const GROUPS = [
  ["Find", [["search", "Search", "s"], ["ask", "Ask", "a"], ["concepts", "Concepts", "c"]]],
  ["Watch", [["overview", "Overview", "o"], ["documents", "Documents", "d"], ["batches", "Batches", "b"], ["letters", "Dead letters", "l"]]],
  ["Run", [["workers", "Workers", "w"], ["scaling", "Scaling", "p"]]],
];

const element = (id) => document.getElementById(id);
const main = element("main");
const live = new Live();
const uploads = new Uploads(element("tray"));
const badges = new Map();
let leave = null;
let shown = null;

function navigation() {
  const item = ([view, name, key]) => {
    const badge = h("span", { class: "badge", hidden: true });
    badges.set(view, badge);
    return h("li", {}, h("a", { href: `#/${view}`, "data-view": view, title: `${name} (g ${key})` }, icon(view), h("span", {}, name), badge));
  };
  const group = ([name, views]) => [h("p", { class: "nav-group", id: `nav-${name}` }, name), h("ul", { "aria-labelledby": `nav-${name}` }, views.map(item))];
  fill(element("nav"), GROUPS.map(group), h("p", { class: "nav-foot dim" }, `docmill ${told.version ?? ""}`, forget));
}

/** Lets another take the seat: the key is gone at once, and asked for. */
const forget = h("button", { type: "button", class: "link", hidden: !hasKey(), on: { click: () => {
  keep(null);
  live.start();
  go();
} } }, "Forget the key");

function keep(key) {
  useKey(key);
  forget.hidden = !key;
}

/** A number beside a view's name; the words after it are for who does not see where it stands. */
function badge(view, number, what) {
  const place = badges.get(view);
  place.hidden = !number;
  const text = number ? `${count(number)}` : "";
  if (place.dataset.text === text) return;
  place.dataset.text = text;
  fill(place, text, text && h("span", { class: "hidden" }, ` ${what}`));
}

function route() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const parts = path.split("/").filter(Boolean).map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  const name = parts.shift() ?? "overview";
  return { name, parts, query: new URLSearchParams(query ?? "") };
}

function go() {
  const { name, parts, query } = route();
  const view = VIEWS[name];
  leave?.abort();
  leave = new AbortController();
  drawer(false);
  const first = shown === null;
  shown = name;
  for (const link of element("nav").querySelectorAll("a")) {
    const here = link.dataset.view === (name === "document" ? "documents" : name);
    if (here) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  main.dataset.view = view ? name : "none";
  main.removeAttribute("aria-busy");
  const place = h("div", { class: "view" });
  fill(main, place);
  scrollTo({ top: 0, behavior: "instant" });
  if (!view) {
    document.title = "docmill";
    fill(place, head("There is no such page"), h("p", {}, "The address names no view. ", h("a", { href: "#/overview" }, "Go to the overview")));
  } else {
    document.title = `${view.title} · docmill`;
    const tools = { parts, query, signal: leave.signal, live, choose: () => element("files").click(), replace };
    try {
      view.open(place, tools);
    } catch (problem) {
      // Something of ours is wrong: it is said, not swallowed.
      console.error(problem);
      fill(place, head(view.title), trouble(problem, go));
    }
  }
  // Who comes by keyboard or hears the page is told where it leads; at the first page the browser does.
  const field = place.querySelector("[data-first]");
  if (!first && !place.contains(document.activeElement)) (field && !field.value ? field : place.querySelector("h1") ?? main).focus({ preventScroll: true });
}

/** Changes the address without opening the view again: what was typed or filtered in it. */
function replace(hash) {
  history.replaceState(null, "", hash);
}

function drawer(open) {
  document.body.classList.toggle("menu-open", open);
  element("menu").setAttribute("aria-expanded", String(open));
}

/** Whether what is shown is fresh. */
function line() {
  const place = element("line");
  const texts = {
    connecting: "Connecting…",
    live: "Live",
    lost: `No word since ${clock(live.since)}, trying again`,
  };
  place.dataset.state = live.state;
  document.body.classList.toggle("stale", live.state === "lost");
  say(place, texts[live.state]);
}

/** Asks for a key; nothing of the page works without one. */
function askForKey(problem) {
  if (main.dataset.view === "key") return;
  const given = hasKey();
  keep(null);
  leave?.abort();
  leave = new AbortController();
  main.dataset.view = "key";
  document.title = "Key needed · docmill";
  const field = h("input", { id: "key", type: "password", autocomplete: "off", spellcheck: "false", required: true, "aria-invalid": given && "true", "aria-describedby": given ? "key-wrong key-help" : "key-help" });
  const form = h(
    "form",
    { class: "key", on: { submit: (event) => {
      event.preventDefault();
      keep(field.value.trim());
      live.start();
      go();
    } } },
    h("label", { for: "key" }, "API key, or a token of your issuer"),
    field,
    h("p", { id: "key-help", class: "dim" }, coded("It is kept in this tab alone and gone when the tab is closed. `docmill-worker keys create` makes one; it needs the scope read, and write for changes.")),
    h("button", { type: "submit", class: "strong" }, "Use this key"),
  );
  const wrong = given ? h("p", { class: "bad", id: "key-wrong", role: "alert" }, "The server does not know this key: it is misspelt, revoked or expired.") : problem.code !== "key_needed" && trouble(problem, () => location.reload());
  fill(main, h("div", { class: "view" }, head("This server wants a key"), wrong, form));
  field.focus();
}

function begin() {
  navigation();
  fill(element("menu"), icon("menu"));
  fill(element("help"), icon("help"));
  fill(element("upload"), icon("upload"), h("span", {}, "Upload"));
  themes(element("theme"));
  const views = GROUPS.flatMap(([, views]) => views).map(([view, name, key]) => ({ key, name, href: `#/${view}` }));
  const choose = () => element("files").click();
  const find = () => {
    const field = main.querySelector("[data-first]") ?? element("find-words");
    (shown === "search" ? field : element("find-words").offsetParent ? element("find-words") : null)?.focus();
    if (shown !== "search" && !element("find-words").offsetParent) location.hash = "#/search";
  };
  shortcuts({ views, find, upload: choose, close: () => {
    if (document.body.classList.contains("menu-open")) {
      drawer(false);
      element("menu").focus();
    } else if (document.activeElement?.closest("input, textarea")) document.activeElement.blur();
  } });
  element("menu").addEventListener("click", () => drawer(!document.body.classList.contains("menu-open")));
  main.addEventListener("click", () => drawer(false));
  // The address is the views': a link within the page would be taken for one.
  element("skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  element("help").addEventListener("click", () => showHelp(views));
  element("upload").addEventListener("click", choose);
  element("files").addEventListener("change", (event) => {
    uploads.take(event.target.files);
    event.target.value = "";
  });
  element("find").addEventListener("submit", (event) => {
    event.preventDefault();
    const words = element("find-words").value.trim();
    if (!words) return;
    location.hash = `#/search?q=${encodeURIComponent(words)}`;
    element("find-words").value = "";
  });
  droppable((files) => uploads.take(files));
  addEventListener("hashchange", go);
  addEventListener("docmill-key", (event) => askForKey(event.detail));
  live.addEventListener("state", line);
  live.listen("overview", (now) => {
    badge("letters", now.documents?.failed, "failed");
    badge("batches", now.batchesRunning, "running");
  });
  line();
  live.start();
  go();
}

begin();
