// Workers: who lives, what each is doing, and who is draining.

import { ask } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { bytes, count, many, nameOf, shown, time } from "./format.js";
import { blank, documentLink, head, pill, skeleton, trouble } from "./parts.js";
import { kept } from "./plot.js";

export const title = "Workers";

/** Time between two looks, in milliseconds. */
const LOOK_MS = 2_000;
/** Workers that are shown; more are counted. */
const SHOWN_MAX = 200;

export function open(place, { signal, live }) {
  const body = h("div", {});
  const sum = h("p", { class: "facts" });
  fill(place, head("Workers", "Who lives, and what each is doing."), sum, body);
  fill(body, skeleton(6, "Loading workers"));
  let looked = 0;
  let trial = 0;
  const drawBody = kept(body);
  const drawSum = kept(sum);

  async function load() {
    looked = Date.now();
    trial += 1;
    const mine = trial;
    try {
      const [{ workers }, work_] = await Promise.all([ask("/v1/workers", { signal }), ask("/v1/work", { signal })]);
      if (mine !== trial) return;
      const { items } = work_;
      drawSum([workers.length, items.length], () => workers.length > 0 && `${many(workers.length, "worker")}, ${many(items.length, "document")} in work${workers.some((one) => one.draining) ? `, ${count(workers.filter((one) => one.draining).length)} draining` : ""}`);
      drawBody([workers, items], () => (workers.length ? cards(workers, items, work_.atMs) : none()));
    } catch (problem) {
      if (problem.name === "AbortError" || mine !== trial) return;
      drawBody([problem.code], () => (problem.code === "scope_needed" ? closed() : trouble(problem, load)));
    }
  }
  load();
  live.listen("overview", () => {
    if (!document.hidden && Date.now() - looked >= LOOK_MS) load();
  }, signal);
}

const none = () => blank("workers", "No worker lives", "What is handed in waits until one does. On Kubernetes the operator starts workers as soon as something waits; elsewhere `docmill-worker run` is one.");

const closed = () => blank("key", "For keys with the scope admin", "Workers serve all tenants, so only who may see all of them sees what they do.");

function cards(workers, items, now) {
  const of = Map.groupBy ? Map.groupBy(items, (item) => item.worker) : grouped(items);
  const unknown = items.filter((item) => !workers.some((worker) => worker.name === item.worker));
  return [
    h("ul", { class: "workers" }, workers.slice(0, SHOWN_MAX).map((worker) => h("li", { class: "card", "data-worker": worker.name }, worker_(worker, of.get(worker.name) ?? [], now)))),
    workers.length > SHOWN_MAX && h("p", { class: "dim" }, `${count(workers.length - SHOWN_MAX)} more`),
    unknown.length > 0 && h("section", { class: "card wide", "aria-labelledby": "lost-work" }, h("h2", { id: "lost-work" }, "Held by workers that are gone"), h("p", { class: "dim" }, "Their leases end by themselves; then others take them."), work(unknown, now)),
  ];
}

function grouped(items) {
  const groups = new Map();
  for (const item of items) groups.set(item.worker, [...(groups.get(item.worker) ?? []), item]);
  return groups;
}

function worker_(worker, items, now) {
  const state = worker.drained ? "drained" : worker.draining ? "draining" : worker.busy > 0 || items.length ? "busy" : "idle";
  const facts = [`up ${time(now - worker.sinceMs)}`, worker.pod && worker.pod !== worker.name && `on ${shown(worker.pod)}`, worker.longestDocumentMs !== undefined && `longest ${time(worker.longestDocumentMs)}`].filter(Boolean);
  return [
    h("div", { class: "card-head" }, h("h2", {}, h("bdi", { class: "break" }, shown(worker.name))), pill(state)),
    h("p", { class: "dim small" }, facts.join(" · ")),
    items.length ? work(items, now) : h("p", { class: "dim" }, worker.busy ? `${many(worker.busy, "document")} in work` : "Waits for documents."),
  ];
}

function work(items, now) {
  const item = (one) =>
    h(
      "li",
      {},
      icon("documents"),
      one.document
        ? h("a", { class: "grow break", href: documentLink(one.document) }, h("bdi", {}, nameOf(one)))
        : h("span", { class: "grow dim" }, "another tenant's document"),
      h("span", { class: "dim number small" }, bytes(one.bytes), one.starts > 1 && `, start ${count(one.starts)}`),
      h("span", { class: "number small" }, time(now - one.sinceMs)),
    );
  return h("ul", { class: "plain work" }, items.map(item));
}
