// Lets the page's questions be answered otherwise than the server does, for states that are hard to come by:
// `pretend("loading")` never answers lists, `"problem"` answers them with one, `"thousand"` with 1,000 rows,
// `"running"` says of batches that they run, `"keyless"` wants a key, and `"real"` asks the server.
(() => {
  const real = window.fetch.bind(window);
  let how = "real";
  window.sent = [];
  window.pretend = (mode) => (how = mode);
  const json = (value, status = 200) => new Response(JSON.stringify(value), { status });
  const never = (signal) => new Promise((_, reject) => signal?.addEventListener("abort", () => reject(new DOMException("ended", "AbortError"))));
  const id = (at) => at.toString(16).padStart(32, "0");
  const long = (at) => `A report with a name that is far too long for any column, part ${at} of very many, as people write them.pdf`;
  const states = ["committed", "processing", "queued", "failed", "cancelled"];
  const rows = {
    documents: (at) => ({ id: id(at), uri: `file:///srv/${long(at)}`, state: states[at % 5], generation: 1, bytes: 997 * at, changedAt: "2026-01-02T03:04:05Z", mediaType: "application/pdf", pages: at, chunks: 3 * at }),
    batches: (at) => ({ id: `00000000-0000-4000-8000-${id(at).slice(20)}`, name: long(at), state: ["running", "done", "cancelled"][at % 3], createdAt: "2026-01-02T03:04:05Z", documents: { total: 100, queued: 10, processing: 2, committed: 80, failed: at % 9, cancelled: 0, superseded: 0 }, progressPercent: 80.1, etaS: 90, ratePerS: 0.5 }),
    deadLetters: (at) => ({ id: id(at), uri: `file:///srv/${long(at)}`, generation: 1, bytes: 7, extractorDeaths: 3, transientFailures: 0, starts: 3, reason: { code: "extractor_died", meaning: "the extractor died over it", detail: "signal 11", whatToDo: "report it", stage: "extract", page: at + 1, stderr: "a line\nanother", failedAt: "2026-01-02T03:04:05Z" } }),
  };
  const list = (name, query) => {
    const from = Number(query.get("cursor") ?? 0);
    const limit = Number(query.get("limit") ?? 100);
    const to = Math.min(1_000, from + limit);
    return json({ [name]: Array.from({ length: to - from }, (_, at) => rows[name](from + at)), next: to < 1_000 ? String(to) : undefined });
  };
  window.fetch = async (path, options) => {
    const url = new URL(path, location.href);
    window.sent.push({ method: options?.method ?? "GET", path, headers: { ...options?.headers } });
    const stream = ["/v1/events", "/v1/overview"].includes(url.pathname);
    if (how === "keyless" && !options.headers.authorization) return json({ status: 401, code: "key_needed", detail: "no key that is good was sent", whatToDo: "send one" }, 401);
    if (how === "loading" && !stream) return never(options.signal);
    if (how === "problem" && !stream) return json({ status: 503, code: "ledger_unavailable", detail: "the ledger does not answer", whatToDo: "send the same again later", retryAfterS: 5 }, 503);
    const name = { "/v1/documents": "documents", "/v1/batches": "batches", "/v1/dead-letters": "deadLetters" }[url.pathname];
    if (how === "thousand" && name && !(options.method === "POST")) return list(name, url.searchParams);
    const answer = await real(path, options);
    if (how !== "running" || !url.pathname.startsWith("/v1/batches") || options.method === "POST") return answer;
    const said = await answer.json();
    for (const batch of said.batches ?? [said]) Object.assign(batch, { state: "running", progressPercent: 40 });
    return json(said);
  };
})();
