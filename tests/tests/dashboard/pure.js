// What the dashboard's pure modules answer; evaluated in the page. Comes to the list of what is wrong.
(async () => {
  const format = await import("/assets/format.js");
  const { EventReader } = await import("/assets/sse.js");
  const { around, towards } = await import("/assets/radial.js");
  const { bars, ranges, scale } = await import("/assets/plot.js");
  const wrong = [];
  const same = (what, found, expected) => {
    const [is, wanted] = [JSON.stringify(found), JSON.stringify(expected)];
    if (is !== wanted) wrong.push(`${what}: ${is} is not ${wanted}`);
  };

  // Names that deceive.
  same("a turned name", format.shown("a\u202egpj.exe"), "a⟦U+202E⟧gpj.exe");
  same("a line in a name", format.shown("a\nb\u0000"), "a⟦U+000A⟧b⟦U+0000⟧");
  same("a tag", format.shown("<b>\u{e0041}"), "<b>⟦U+E0041⟧");
  same("lines of a text", format.prose("a\r\nb\tc\u202e"), "a\nb\tc⟦U+202E⟧");
  same("Arabic keeps its marks", format.prose("س\u200f"), "س\u200f");
  same("an upload's name", format.nameOf({ uri: "sha256:ab/a%20b.pdf" }), "a%20b.pdf");
  same("a name in an address", format.nameOf({ uri: "file:///x/a%20b%E2%80%AE.pdf" }), "a b⟦U+202E⟧.pdf");
  same("half an escape", format.nameOf({ uri: "file:///100%.txt" }), "100%.txt");
  same("a title that is blank", format.nameOf({ title: "  ", uri: "upload:a" }), "a");
  same("no name at all", format.nameOf({ uri: "" }), "Without a name");

  // Numbers.
  same("bytes", [0, 1023, 1024, 1536, 5 << 20].map(format.bytes), ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "5.0 MiB"]);
  same("times", [0.25, 850, 4_200, 59_999, 200_000, 18_180_000, 187_200_000].map(format.time), ["0.3 ms", "850 ms", "4.2 s", "1 min", "3 min 20 s", "5 h 3 min", "2 d 4 h"]);
  same("unknown is not zero", [format.count(undefined), format.time(NaN), format.percent(1, 0)], ["–", "–", "–"]);
  same("percents", [format.percent(0, 5), format.percent(9_999, 10_000), format.percent(5, 5)], ["0 %", "99.9 %", "100 %"]);
  same("ago", [4_000, 61_000, 7_200_000, 200_000_000].map((ms) => format.ago(0, ms)), ["just now", "1 min ago", "2 h ago", "2 days ago"]);
  same("scales", [0, 0.3, 7, 10, 11].map(scale), [1, 0.5, 10, 10, 20]);
  const drawn = (list, what) => [...list.children].map((row) => row.querySelectorAll(what).length);
  same("bars of nothing", drawn(bars([{ name: "a", value: 0 }, { name: "b", value: 2 }]), ".bar-fill"), [0, 1]);
  same("ranges of nothing", drawn(ranges([{ name: "a", low: 0, high: 0 }, { name: "b", low: 0, high: 3 }]), ".range"), [0, 1]);

  // Highlights are bytes of UTF-8.
  same("bytes of highlights", format.marked("…größe x", [[3, 10]]), [{ text: "…", mark: false }, { text: "größe", mark: true }, { text: " x", mark: false }]);
  same("highlights that cannot be", format.marked("ab", [[1, 9], [1, 1], [-1, 1]]), [{ text: "ab", mark: false }]);
  const sources = [{ n: 1 }, { n: 2 }];
  same("citations", format.cited("A [1]. B [3] [2]", sources), [{ text: "A " }, { source: { n: 1 } }, { text: ". B [3] " }, { source: { n: 2 } }]);

  // Events in any pieces are the same events.
  const stream = ": beat\n\nid: r-1\nevent: message\ndata: {\"delta\":\"ä\"}\n\r\nevent: x\r\ndata: a\rdata: b\n\ndata\n\n";
  const whole = new EventReader().push(stream);
  same("events", whole, [{ id: "r-1", name: "message", data: "{\"delta\":\"ä\"}" }, { id: "r-1", name: "x", data: "a\nb" }, { id: "r-1", name: "message", data: "" }]);
  for (let size = 1; size < stream.length; size += 1) {
    const reader = new EventReader();
    const events = [];
    for (let at = 0; at < stream.length; at += size) events.push(...reader.push(stream.slice(at, at + size)));
    same(`events in pieces of ${size}`, events, whole);
  }
  same("the last id", new EventReader().lastId, null);

  // Every neighbour stands somewhere of its own, and can be reached by arrows.
  for (const many of [1, 2, 9, 12, 13, 20]) {
    const points = around(Array.from({ length: many }, (_, at) => ({ chunks: many - at })));
    const places = new Set(points.map(({ x, y }) => `${x.toFixed(0)} ${y.toFixed(0)}`));
    same(`places of ${many}`, places.size, many);
    const seen = new Set([0]);
    const open = [0];
    while (open.length) {
      const from = open.pop();
      for (const key of ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"]) {
        const to = towards(points, from, key);
        if (to >= 0 && !seen.has(to)) open.push(to), seen.add(to);
      }
    }
    same(`reached of ${many}`, seen.size, many);
  }
  return wrong;
})()
