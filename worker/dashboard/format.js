// How numbers, times and foreign texts are shown. Pure: no document, no clock of its own.

// Characters that are not seen, or that turn the direction of writing: in a name they can only deceive.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e007f}]/gu;
// In a text, lines and tabs are wanted, and marks of direction belong to right-to-left scripts.
const UNSEEN_IN_TEXT = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufeff\u{e0000}-\u{e007f}]/gu;

const escaped = (character) =>
  `⟦U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟧`;

/** A name of somebody else's, with what cannot be seen made visible. */
export const shown = (name) => String(name ?? "").replace(UNSEEN, escaped);

/** A text of somebody else's. */
export const prose = (text) => String(text ?? "").replace(/\r\n?/g, "\n").replace(UNSEEN_IN_TEXT, escaped);

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** `12,345`; a dash where there is none. */
export const count = (number) => (Number.isFinite(number) ? whole.format(number) : "–");

/** `12.3K`, where there is little room. */
export const brief = (number) => (Number.isFinite(number) ? short.format(number) : "–");

/** `1 document`, `2 documents`. */
export const many = (number, one, more = `${one}s`) => `${count(number)} ${number === 1 ? one : more}`;

/** A rate a second, with as many digits as it deserves. */
export function rate(perSecond) {
  if (!Number.isFinite(perSecond)) return "–";
  if (perSecond === 0) return "0";
  return perSecond >= 100 ? count(perSecond) : perSecond >= 10 ? perSecond.toFixed(1) : perSecond.toFixed(2);
}

/** `4.2 MiB`. */
export function bytes(number) {
  if (!Number.isFinite(number)) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (number >= 1024 && at < units.length - 1) {
    number /= 1024;
    at += 1;
  }
  return `${at === 0 || number >= 100 ? Math.round(number) : number.toFixed(1)} ${units[at]}`;
}

/** `850 ms`, `4.2 s`, `3 min 20 s`, `5 h 3 min`, `2 d 4 h`. */
export function time(ms) {
  if (!Number.isFinite(ms)) return "–";
  if (ms < 0) ms = 0;
  if (ms < 10) return `${Number(ms.toFixed(1))} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  const pair = (big, bigUnit, small, smallUnit) => (small ? `${big} ${bigUnit} ${small} ${smallUnit}` : `${big} ${bigUnit}`);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return pair(Math.floor(seconds / 60), "min", seconds % 60, "s");
  const minutes = Math.round(seconds / 60);
  if (minutes < 1_440) return pair(Math.floor(minutes / 60), "h", minutes % 60, "min");
  const hours = Math.round(minutes / 60);
  return pair(Math.floor(hours / 24), "d", hours % 24, "h");
}

/** How long ago something was, for who reads a list. */
export function ago(then, now) {
  const ms = now - (typeof then === "string" ? Date.parse(then) : then);
  if (!Number.isFinite(ms)) return "–";
  if (ms < 5_000) return "just now";
  const units = [["day", 86_400_000], ["h", 3_600_000], ["min", 60_000], ["s", 1_000]];
  const [unit, size] = units.find(([, size]) => ms >= size);
  const number = Math.floor(ms / size);
  return `${number} ${unit === "day" && number > 1 ? "days" : unit} ago`;
}

/** The time of day, or the date where it was another day. */
export function clock(then, now = Date.now()) {
  const date = new Date(then);
  if (Number.isNaN(date.getTime())) return "–";
  const same = date.toDateString() === new Date(now).toDateString();
  const two = (number) => String(number).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} `;
  return `${same ? "" : day}${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** A part of a whole in percent, whole numbers only at the ends. */
export function percent(part, of) {
  if (!(of > 0)) return "–";
  const value = (part * 100) / of;
  return value === 0 || value === 100 ? `${value} %` : `${Math.min(Math.max(value, 0.1), 99.9).toFixed(1)} %`;
}

/** What a document is called: its title, or the last part of where it is. */
export function nameOf(document) {
  const title = document.title?.trim();
  if (title) return shown(title);
  const uri = String(document.uri ?? "").replace(/\/+$/, "");
  const last = uri.slice(uri.lastIndexOf("/") + 1).replace(/^(upload|sha256):/, "");
  return shown(decoded(last, uri)) || shown(uri) || "Without a name";
}

/** Where a document is, as people read it. */
export const placeOf = (uri) => shown(decoded(String(uri ?? "").replace(/^sha256:([0-9a-f]{8})[0-9a-f]*/, "upload $1…")));

/** Names in addresses are escaped; names of uploads are as they were given. */
function decoded(text, uri = text) {
  try {
    return uri.includes("://") ? decodeURIComponent(text) : text;
  } catch {
    return text;
  }
}

/** A kind of file in a word or two. */
export function kindOf(mediaType) {
  if (!mediaType) return "–";
  const known = {
    "application/pdf": "PDF", "text/html": "HTML", "text/plain": "Text", "text/markdown": "Markdown", "text/csv": "CSV",
    "application/json": "JSON", "application/rtf": "RTF", "message/rfc822": "Mail", "application/zip": "Archive",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "Word",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "PowerPoint",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "Excel",
    "application/vnd.ms-excel": "Excel", "application/msword": "Word", "application/vnd.ms-powerpoint": "PowerPoint",
    "application/vnd.oasis.opendocument.text": "OpenDocument", "application/vnd.oasis.opendocument.spreadsheet": "OpenDocument",
    "application/epub+zip": "EPUB",
  };
  const name = known[mediaType.split(";")[0].trim()];
  return name ?? (mediaType.startsWith("image/") ? `Image (${shown(mediaType.slice(6))})` : shown(mediaType));
}

const LANGUAGES = new Intl.DisplayNames(["en"], { type: "language", fallback: "none" });

/** A language's name in English. */
export function languageOf(code) {
  if (!code) return "–";
  try {
    return code === "und" ? "Unknown" : LANGUAGES.of(code) ?? shown(code);
  } catch {
    return shown(code);
  }
}

/** A text in parts, those between `highlights` (byte ranges of its UTF-8) marked. */
export function marked(text, highlights) {
  const all = new TextEncoder().encode(text);
  const decoder = new TextDecoder();
  const parts = [];
  let at = 0;
  const add = (to, mark) => {
    if (to > at) parts.push({ text: prose(decoder.decode(all.subarray(at, to))), mark });
    at = Math.max(at, to);
  };
  for (const [from, to] of highlights ?? []) {
    if (!(from >= at && to > from && to <= all.length)) continue;
    add(from, false);
    add(to, true);
  }
  add(all.length, false);
  return parts;
}

/** An answer in parts: texts, and numbers of sources that it cites as `[1]`. */
export function cited(answer, sources) {
  const parts = [];
  let at = 0;
  for (const found of answer.matchAll(/\[(\d{1,3})\]/g)) {
    const source = sources.find((source) => source.n === Number(found[1]));
    if (!source) continue;
    if (found.index > at) parts.push({ text: prose(answer.slice(at, found.index)) });
    parts.push({ source });
    at = found.index + found[0].length;
  }
  if (at < answer.length) parts.push({ text: prose(answer.slice(at)) });
  return parts;
}

/** A word of a program as people write it: `in_flight` becomes `In flight`. */
export function words(name) {
  const text = shown(name).replace(/([a-z])([A-Z])/g, "$1 $2").replace(/_/g, " ").toLowerCase();
  return text.charAt(0).toUpperCase() + text.slice(1);
}
