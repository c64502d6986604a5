// Uploads: files that are chosen or dropped go to the API three at a time, and each says when it can be found.

import { ask, credentials, path, pause, Problem, problemOf } from "./api.js";
import { announce, fill, h, icon, say } from "./dom.js";
import { bytes, count, many, shown, time } from "./format.js";
import { documentLink, sentence } from "./parts.js";

/** Files taken at once. */
const FILES_MAX = 1_000;
/** Uploads at the same time. */
const AT_ONCE = 3;
/** Files that are shown; more are counted. */
const SHOWN_MAX = 50;
/** Longest time that a document is watched, in milliseconds: longer ones are in the list of documents. */
const WATCHED_MS = 120_000;

export class Uploads {
  #waiting = [];
  #going = 0;
  #done = 0;
  #failed = 0;
  #all = 0;
  #rows = h("ul", { class: "uploads" });
  #title = h("h2", { id: "tray-title" });

  constructor(tray) {
    this.tray = tray;
    const close = h("button", { type: "button", class: "quiet square", "aria-label": "Close the list of uploads", on: { click: () => this.#close() } }, icon("close"));
    fill(tray, h("div", { class: "card-head" }, this.#title, close), this.#rows);
  }

  /** Takes files; many at once are a batch, so that it can be seen how far they are. */
  async take(files) {
    const chosen = [...files].slice(0, FILES_MAX);
    if (!chosen.length) return;
    if (!this.#going && !this.#waiting.length) this.#begin();
    this.tray.hidden = false;
    if (files.length > FILES_MAX) this.#note(`Of ${count(files.length)} files the first ${count(FILES_MAX)} are taken; docmill run takes folders of any size.`);
    this.#all += chosen.length;
    this.#head();
    let batch;
    if (chosen.length > 1) {
      try {
        batch = (await ask("/v1/batches", { method: "POST", body: { name: `Upload of ${count(chosen.length)} files` } })).id;
      } catch (problem) {
        this.#failed += chosen.length;
        this.#head();
        return this.#note(`${sentence(problem.message)} ${problem.whatToDo}`, "bad");
      }
    }
    for (const file of chosen) this.#waiting.push({ file, batch, row: this.#row(file) });
    while (this.#going < AT_ONCE && this.#waiting.length) this.#next();
  }

  #begin() {
    this.#all = this.#done = this.#failed = 0;
    fill(this.#rows);
  }

  #close() {
    this.tray.hidden = true;
    document.getElementById("upload").focus();
  }

  #head() {
    const open = this.#all - this.#done - this.#failed;
    say(this.#title, open ? `Uploading ${many(open, "file")}` : `${many(this.#done, "file")} uploaded${this.#failed ? `, ${count(this.#failed)} not` : ""}`);
  }

  #note(text, tone = "") {
    this.#rows.prepend(h("li", { class: `upload ${tone}` }, h("span", {}, text)));
    announce(text);
  }

  #row(file) {
    const state = h("span", { class: "dim" }, "Waits");
    const bar = h("span", { class: "meter-done" });
    const name = h("span", { class: "upload-name" }, shown(file.name));
    const element = h("li", { class: "upload" }, name, h("span", { class: "dim number" }, bytes(file.size)), state, h("span", { class: "meter", "aria-hidden": "true" }, bar));
    if (this.#rows.childElementCount < SHOWN_MAX) this.#rows.append(element);
    return { element, state, bar, name };
  }

  async #next() {
    const { file, batch, row } = this.#waiting.shift();
    this.#going += 1;
    const began = performance.now();
    try {
      const accepted = await sent(file, batch, (part) => {
        row.bar.style.setProperty("width", `${Math.round(part * 100)}%`);
        say(row.state, part < 1 ? `${Math.floor(part * 100)} %` : "Kept");
      });
      this.#done += 1;
      row.bar.style.setProperty("width", "100%");
      const document = accepted.documents[0];
      fill(row.name, h("a", { href: documentLink(document.id) }, shown(file.name)));
      if (row.element.isConnected) this.#watch(document, row, began, file.name).catch(() => {});
      else if (this.#all > SHOWN_MAX) announce(`${count(this.#done)} of ${count(this.#all)} files uploaded`);
    } catch (problem) {
      this.#failed += 1;
      row.element.classList.add("bad");
      say(row.state, `${sentence(problem.message)} ${problem.whatToDo}`);
      announce(`${shown(file.name)}: ${sentence(problem.message)}`);
    }
    this.#going -= 1;
    this.#head();
    if (this.#waiting.length) this.#next();
  }

  /** Says when it can be found, and how long that took from the choice of the file. */
  async #watch(document, row, began, name) {
    if (document.change === "unchanged" && document.state === "committed") return say(row.state, "Known already: searchable");
    say(row.state, "Being read…");
    for (let wait = 150; performance.now() - began < WATCHED_MS; wait = Math.min(wait * 1.5, 3_000)) {
      await pause(wait);
      const { state, failure } = await ask(`/v1/documents/${encodeURIComponent(document.id)}`);
      if (state === "committed") {
        const text = `Searchable after ${time(performance.now() - began)}`;
        say(row.state, text);
        row.element.classList.add("good");
        return announce(`${shown(name)}: ${text}`);
      }
      if (state === "failed" || state === "cancelled") {
        row.element.classList.add("bad");
        say(row.state, failure ? sentence(failure.meaning) : "Cancelled");
        return announce(`${shown(name)} could not be read`);
      }
    }
    say(row.state, "Still being read: see its page");
  }
}

/** One file; `XMLHttpRequest`, as it alone tells how far a body is. */
function sent(file, batch, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path("/v1/documents", { batch }));
    for (const [name, value] of Object.entries(credentials(true))) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", (event) => event.lengthComputable && progress(event.loaded / event.total));
    request.addEventListener("load", () => {
      if (request.status < 200 || request.status > 299) return reject(problemOf(request.status, request.responseText));
      try {
        resolve(JSON.parse(request.responseText));
      } catch {
        reject(problemOf(request.status, ""));
      }
    });
    const broken = () => reject(new Problem({ code: "no_answer", detail: "the upload broke off", whatToDo: "Send the file again: what is there twice is kept once." }));
    request.addEventListener("error", broken);
    request.addEventListener("abort", broken);
    const form = new FormData();
    form.append("file", file, file.name);
    request.send(form);
  });
}

/** Lets files be dropped anywhere on the page. */
export function droppable(take) {
  const carries = (event) => event.dataTransfer?.types.includes("Files");
  let depth = 0;
  const mark = (by) => {
    depth = Math.max(0, depth + by);
    document.body.classList.toggle("dropping", depth > 0);
  };
  addEventListener("dragenter", (event) => carries(event) && mark(1));
  addEventListener("dragleave", (event) => carries(event) && mark(-1));
  addEventListener("dragover", (event) => carries(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    mark(-depth);
    take([...event.dataTransfer.files]);
  });
}
