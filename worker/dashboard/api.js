// Asks the API: with the key that the user gave or the token that came with the page, and with errors that say what
// to do. Answers are JSON, bytes or server-sent events.

import { EventReader } from "./sse.js";

/** What the server said of itself in the page. */
export const told = (() => {
  try {
    return JSON.parse(document.querySelector("meta[name=docmill]").content);
  } catch {
    return {};
  }
})();

const KEY = "docmill-key";
let key = null;
try {
  key = sessionStorage.getItem(KEY);
} catch {
  // Without storage the key lasts as long as the page.
}

/** Whether the user gave a key. */
export const hasKey = () => Boolean(key);

/** Takes a key, or forgets it; it is gone with the tab. */
export function useKey(text) {
  key = text || null;
  try {
    if (key) sessionStorage.setItem(KEY, key);
    else sessionStorage.removeItem(KEY);
  } catch {
    // As above.
  }
}

/** Why an answer did not come, as `application/problem+json` says it. */
export class Problem extends Error {
  constructor(said) {
    super(said.detail || said.title || "The server did not say why.");
    this.status = said.status ?? 0;
    this.code = said.code ?? "unknown";
    this.field = said.field;
    this.value = said.value;
    this.allowed = said.allowed;
    this.whatToDo = said.whatToDo ?? "";
    this.retryAfterS = said.retryAfterS;
  }
}

const away = () =>
  new Problem({ code: "no_answer", detail: "The server does not answer.", whatToDo: "See whether docmill still runs, and whether this machine has a network." });

/** The problem in an answer that is none of the good ones. */
export function problemOf(status, text) {
  try {
    const said = JSON.parse(text);
    if (said && typeof said === "object" && (said.code || said.detail)) return new Problem({ status, ...said });
  } catch {
    // What stands between us and the server answered.
  }
  const whatToDo = status >= 500 ? "Try again in a moment." : "Load the page again.";
  return new Problem({ status, code: `http_${status}`, detail: `The server answered with status ${status}.`, whatToDo });
}

/** Headers that say who asks. */
export function credentials(changes) {
  const headers = {};
  if (key) headers.authorization = `Bearer ${key}`;
  else if (told.token && changes) headers["x-docmill-token"] = told.token;
  return headers;
}

async function send(path, { method = "GET", body, headers = {}, signal } = {}) {
  const changes = method !== "GET";
  const asked = key;
  const all = { ...credentials(changes), ...headers };
  if (body !== undefined) all["content-type"] = "application/json";
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers: all,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
    });
  } catch (error) {
    throw error.name === "AbortError" ? error : away();
  }
  if (answer.ok) return answer;
  const problem = problemOf(answer.status, await answer.text().catch(() => ""));
  // The token changes with each start of the server; what was shown stays, as reading needs none.
  if (problem.code === "token_needed") problem.whatToDo = "Load this page again: the server was started anew since.";
  // What was asked with another key says nothing of the one that was given since.
  else if (problem.status === 401 && asked === key) dispatchEvent(new CustomEvent("docmill-key", { detail: problem }));
  throw problem;
}

/** An answer in JSON; nothing where the server says nothing. */
export async function ask(path, options) {
  const answer = await send(path, { ...options, headers: { accept: "application/json", ...options?.headers } });
  const text = await answer.text().catch((error) => {
    throw error.name === "AbortError" ? error : away();
  });
  if (!text) return null;
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem({ code: "not_json", detail: "The answer is not what was expected.", whatToDo: "Load the page again: it may be older than the server." });
  }
}

/** An answer's bytes. */
export async function blob(path, options) {
  return (await send(path, options)).blob();
}

/** The path of a list with what is asked of it; nothing is left out but what is empty. */
export function path(base, query = {}) {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "" && value !== false) params.set(name, value);
  }
  const text = params.toString();
  return text ? `${base}?${text}` : base;
}

/** Server-sent events of one connection, until it ends. */
export async function* events(path, { method, body, signal, lastId } = {}) {
  const headers = { accept: "text/event-stream" };
  if (lastId) headers["last-event-id"] = lastId;
  const answer = await send(path, { method, body, headers, signal });
  const reader = new EventReader();
  const pieces = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { value, done } = await pieces.read();
      if (done) return;
      for (const event of reader.push(value)) yield event;
    }
  } catch (error) {
    throw error instanceof Problem || error.name === "AbortError" ? error : away();
  } finally {
    pieces.cancel().catch(() => {});
  }
}

/** Waits, unless the signal ends it. */
export function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const ended = () => {
      clearTimeout(timer);
      reject(new DOMException("ended", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", ended);
      resolve();
    }, ms);
    if (signal?.aborted) ended();
    else signal?.addEventListener("abort", ended, { once: true });
  });
}
