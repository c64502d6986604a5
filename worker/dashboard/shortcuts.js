// Keys: `/` to search, `g` and a letter to go to a view, `?` for this list. Who needs single keys for something else
// (speech input does) switches them off here.

import { fill, h, icon } from "./dom.js";

const SWITCHED_OFF = "docmill-keys-off";
/** Longest time between `g` and its letter, in milliseconds. */
const PAIR_MS = 1_500;

let off = false;
try {
  off = localStorage.getItem(SWITCHED_OFF) === "1";
} catch {
  // They stay on.
}

function choose(isOff) {
  off = isOff;
  try {
    if (off) localStorage.setItem(SWITCHED_OFF, "1");
    else localStorage.removeItem(SWITCHED_OFF);
  } catch {
    // It lasts as long as the page.
  }
}

/** Listens for keys; `views` are `{key, name, href}`. */
export function shortcuts({ views, find, upload, close }) {
  let pairedUntil = 0;
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing) return;
    if (event.key === "Escape") return close();
    const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (off || typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (performance.now() < pairedUntil) {
      pairedUntil = 0;
      const view = views.find((view) => view.key === event.key);
      if (view) {
        event.preventDefault();
        location.hash = view.href;
      }
      return;
    }
    const acts = { "/": find, u: upload, "?": () => showHelp(views), g: () => (pairedUntil = performance.now() + PAIR_MS) };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  });
}

/** The list of keys. */
export function showHelp(views) {
  const rows = [
    ["/", "Search documents"], ["u", "Upload files"], ["?", "This list"],
    ...views.map((view) => [`g ${view.key}`, `Go to ${view.name}`]),
    ["↑ ↓", "Move in lists; in the graph, from one neighbour to the next"], ["Enter", "Open; in the graph, walk there"], ["Esc", "Close, or leave a field"],
  ];
  const keys = (text) => text.split(" ").map((key) => h("kbd", {}, key));
  const box = h("input", { type: "checkbox", id: "keys-on", on: { change: (event) => choose(!event.target.checked) } });
  box.checked = !off;
  const dialog = h(
    "dialog",
    { class: "dialog", "aria-labelledby": "help-title" },
    h("div", { class: "card-head" }, h("h2", { id: "help-title" }, "Keyboard"), h("button", { type: "button", class: "quiet square", "aria-label": "Close", on: { click: () => dialog.close() } }, icon("close"))),
    h("dl", { class: "keys" }, rows.map(([key, text]) => h("div", {}, h("dt", {}, keys(key)), h("dd", {}, text)))),
    h("p", {}, box, " ", h("label", { for: "keys-on" }, "Single keys are shortcuts")),
  );
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
}

/** What the button for the theme says and does: the system's, light, dark. */
export function themes(button) {
  const order = ["auto", "light", "dark"];
  const names = { auto: "as the system has it", light: "light", dark: "dark" };
  const show = () => {
    const now = document.documentElement.dataset.theme ?? "auto";
    fill(button, icon(now));
    button.setAttribute("aria-label", `Colours: ${names[now]}. Change`);
  };
  button.addEventListener("click", () => {
    const now = document.documentElement.dataset.theme ?? "auto";
    const next = order[(order.indexOf(now) + 1) % order.length];
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      if (next === "auto") localStorage.removeItem("docmill-theme");
      else localStorage.setItem("docmill-theme", next);
    } catch {
      // It lasts as long as the page.
    }
    show();
  });
  show();
}
