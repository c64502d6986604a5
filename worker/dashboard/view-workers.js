// Workers: who lives, what each is doing, who is draining, and what the stores take long for.

import { ask } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { bytes, count, many, nameOf, prose, shown, time, words } from "./format.js";
import { blank, card, documentLink, head, pill, skeleton, trouble } from "./parts.js";
import { kept } from "./plot.js";

export const title = "Workers";

/** Time between two looks, in milliseconds. */
const LOOK_MS = 2_000;
/** Workers that are shown; more are counted. */
const SHOWN_MAX = 200;
/** Statements that are shown, the longest first. */
const STATEMENTS_MAX = 20;

export function open(place, { signal, live }) {
  const body = h("div", {});
  const sum = h("p", { class: "facts" });
  const stores = h("div", {});
  fill(place, head("Workers", "Who lives, and what each is doing."), sum, body, stores);
  fill(body, skeleton(6, "Loading workers"));
  let looked = 0;
  let trial = 0;
  const drawBody = kept(body);
  const drawSum = kept(sum);
  const drawStores = kept(stores);

  async function load() {
    looked = Date.now();
    trial += 1;
    const mine = trial;
    try {
      const [{ workers }, work_, statements] = await Promise.all([ask("/v1/workers", { signal }), ask("/v1/work", { signal }), slow(signal)]);
      if (mine !== trial) return;
      const { items } = work_;
      drawSum([workers.length, items.length], () => workers.length > 0 && `${many(workers.length, "worker")}, ${many(items.length, "document")} in work${workers.some((one) => one.draining) ? `, ${count(workers.filter((one) => one.draining).length)} draining` : ""}`);
      drawBody([workers, items], () => (workers.length ? cards(workers, items, work_.atMs) : none()));
      drawStores([statements], () => card("Slow statements", { wide: true, note: h("span", { class: "dim" }, "what a store is at now, and has been for more than a second") }, statementList(statements)));
    } catch (problem) {
      if (problem.name === "AbortError" || mine !== trial) return;
      drawSum([], () => null);
      drawStores([], () => null);
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

/** What the stores take long for; nothing where they do not say, as the workers are worth seeing without it. */
async function slow(signal) {
  try {
    return (await ask("/v1/slow-queries", { signal })).queries;
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    return null;
  }
}

function statementList(statements) {
  if (!statements) return h("p", { class: "dim" }, "The stores do not say what they are at.");
  if (!statements.length) return h("p", { class: "dim" }, "None: every statement is done in less.");
  const item = (one) =>
    h(
      "li",
      {},
      h("span", { class: "statement-head" }, h("span", { class: "pill calm" }, words(one.store)), h("span", { class: "number" }, time(one.elapsedMs)), h("span", { class: "dim small" }, prose(one.state))),
      h("code", {}, prose(one.query)),
    );
  return [
    h("ul", { class: "plain statements" }, statements.slice(0, STATEMENTS_MAX).map(item)),
    statements.length > STATEMENTS_MAX && h("p", { class: "dim" }, `${count(statements.length - STATEMENTS_MAX)} more`),
  ];
}

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
    worker.draining && h("p", { class: "small" }, worker.drained ? "It takes no new work and has none left: it may go." : "It takes no new work, and ends what it has."),
    items.length ? work(items, now) : h("p", { class: "dim" }, worker.busy ? `${many(worker.busy, "document")} in work` : !worker.draining && "Waits for documents."),
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
