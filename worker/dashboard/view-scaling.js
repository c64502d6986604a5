// Scaling: how many workers the operator wants, and the reasons that led there.

import { ask, told } from "./api.js";
import { fill, h, icon } from "./dom.js";
import { ago, count, many, prose, rate, words } from "./format.js";
import { blank, card, head, skeleton, trouble } from "./parts.js";
import { bars, kept } from "./plot.js";

export const title = "Scaling";

/** Time between two looks, in milliseconds. */
const LOOK_MS = 5_000;
/** A decision that is older says how old it is: the operator may be gone. */
const OLD_MS = 60_000;

export function open(place, { signal, live }) {
  const body = h("div", {});
  fill(place, head("Scaling", "How many workers there are to be, and why."), body);
  if (told.shape === "embedded") return void fill(body, single());
  fill(body, skeleton(6, "Loading the decision"));
  const drawn = kept(body);
  let looked = 0;

  async function load() {
    looked = Date.now();
    try {
      const now = await ask("/v1/scaling", { signal });
      const overview = live.last.get("overview");
      drawn([now, overview?.lanes, Math.floor(Date.now() / LOOK_MS)], () => decision(now, overview));
    } catch (problem) {
      if (problem.name === "AbortError") return;
      drawn([problem.code], () => (problem.status === 404 || problem.code === "not_here" ? none() : trouble(problem, load)));
    }
  }
  load();
  live.listen("overview", () => {
    if (!document.hidden && Date.now() - looked >= LOOK_MS) load();
  }, signal);
}

const single = () =>
  blank("scaling", "One machine, one worker", "docmill serve works with the cores it has: there is nothing to scale. On Kubernetes the operator decides here how many workers there are to be, and says why.");

const none = () =>
  blank("scaling", "No operator here", "No operator has told this API what it decided. It does so at each decision once it runs and may reach the API's internal port.");

function decision(now, overview) {
  const replicas = now.replicas;
  const moves = replicas === undefined || replicas === now.desired ? null : now.desired > replicas ? `${many(now.desired - replicas, "worker")} to come` : `${many(replicas - now.desired, "worker")} to go`;
  const age = now.toldAtMs ? Date.now() - now.toldAtMs : 0;
  const lanes = (overview?.lanes ?? []).map((lane) => ({ name: `${words(lane.lane)} lane waits`, value: (lane.waiting ?? 0) + (lane.due ?? 0) }));
  return [
    age > OLD_MS && h("p", { class: "notice" }, icon("letters"), `The operator told this ${ago(now.toldAtMs, Date.now())}. It says when it decides otherwise; whether it still runs is not known here.`),
    h(
      "div",
      { class: "tiles" },
      tile("Wanted", count(now.desired), now.desired === 1 ? "worker" : "workers"),
      tile("There", replicas === undefined ? "–" : count(replicas), moves ?? (replicas === undefined ? "not told" : "as wanted")),
      tile("Metric", count(now.metric), "what an autoscaler reads"),
      tile("Done", rate(overview?.ratePerS), "documents a second"),
    ),
    h(
      "div",
      { class: "grid" },
      card("Why", { wide: true, note: now.toldAtMs && h("span", { class: "dim" }, "told ", ago(now.toldAtMs, Date.now())) }, reasons(now.reasons ?? [])),
      lanes.length > 0 && card("What waits now", { wide: true }, bars(lanes, "documents")),
    ),
  ];
}

const tile = (name, value, note) => h("div", { class: "tile", role: "group", "aria-label": name }, h("h2", {}, name), h("p", { class: "figure" }, value), h("p", { class: "dim small" }, note));

function reasons(all) {
  if (!all.length) return h("p", { class: "dim" }, "The operator gave no reason.");
  return h("ol", { class: "reasons" }, all.map((reason) => h("li", {}, h("strong", {}, words(reason.code)), h("p", {}, prose(reason.message)))));
}
