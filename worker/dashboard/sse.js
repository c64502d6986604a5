// Server-sent events out of text that comes in any pieces (WHATWG HTML, 9.2.6). Pure.

/** Most characters of an event that is not at its end: more is no event of ours. */
const EVENT_CHARS_MAX = 4 << 20;

export class EventReader {
  #rest = "";
  #name = "";
  #data = [];
  #length = 0;
  #id = null;

  /** The id to send as Last-Event-ID. */
  get lastId() {
    return this.#id;
  }

  /** The events that end in this piece. */
  push(piece) {
    const events = [];
    this.#rest += piece;
    // A carriage return at the end may be half of a line's end.
    let end;
    while ((end = this.#rest.search(/\r\n|\n|\r(?!$)/)) >= 0) {
      const line = this.#rest.slice(0, end);
      this.#rest = this.#rest.slice(end + (this.#rest.startsWith("\r\n", end) ? 2 : 1));
      const event = this.#line(line);
      if (event) events.push(event);
    }
    if (this.#rest.length + this.#length > EVENT_CHARS_MAX) throw new Error("an event has no end");
    return events;
  }

  #line(line) {
    if (line === "") {
      const event = this.#data.length ? { id: this.#id, name: this.#name || "message", data: this.#data.join("\n") } : null;
      this.#name = "";
      this.#data = [];
      this.#length = 0;
      return event;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return null;
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (field === "event") this.#name = value;
    else if (field === "data") {
      this.#data.push(value);
      this.#length += value.length;
    } else if (field === "id" && !value.includes("\0")) this.#id = value;
    return null;
  }
}
