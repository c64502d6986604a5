//! JSON as lines of `path: value`, read as a stream. What is not JSON is handed on as it stands.

use std::fmt::{self, Display, Write};

use docmill_core::failure::Failure;
use docmill_core::page::BlockKind;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::emit::Emitter;

/// Lines of one block.
const BLOCK_LINES: usize = 50;

/// Reads one JSON value, or many one after another (a line each, say).
pub(super) fn read(text: &str, emitter: &mut Emitter<'_>) -> Result<(), Failure> {
    let text = text.trim_start_matches('\u{feff}');
    let mut lines = Lines { path: String::new(), block: String::new(), count: 0, emitter, failure: None };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    // `end` fails while something other than white space is left.
    while deserializer.end().is_err() {
        let outcome = Value { lines: &mut lines, depth: 0 }.deserialize(&mut deserializer);
        if let Some(failure) = lines.failure.take() {
            return Err(failure);
        }
        if outcome.is_err() {
            // Broken or too deep: its text is still worth finding.
            lines.block.clear();
            return lines.emitter.block(BlockKind::Code, text);
        }
        lines.end_block()?;
    }
    Ok(())
}

struct Lines<'a, 'e> {
    path: String,
    block: String,
    count: usize,
    emitter: &'a mut Emitter<'e>,
    failure: Option<Failure>,
}

impl Lines<'_, '_> {
    fn value(&mut self, value: impl Display) {
        let separator = if self.path.is_empty() { "" } else { ": " };
        // Writing to a string does not fail.
        let _ = writeln!(self.block, "{}{separator}{value}", self.path);
        self.count += 1;
    }

    fn end_block(&mut self) -> Result<(), Failure> {
        self.count = 0;
        self.emitter.block(BlockKind::Paragraph, std::mem::take(&mut self.block))
    }

    fn end_block_if_long(&mut self) -> bool {
        if self.count >= BLOCK_LINES
            && let Err(failure) = self.end_block()
        {
            self.failure = Some(failure);
        }
        self.failure.is_none()
    }
}

struct Value<'v, 'a, 'e> {
    lines: &'v mut Lines<'a, 'e>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

macro_rules! scalars {
    ($($method:ident: $type:ty),+) => {
        $(fn $method<E>(self, value: $type) -> Result<(), E> {
            self.lines.value(value);
            Ok(())
        })+
    };
}

impl<'de> Visitor<'de> for Value<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    scalars! { visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        // Elements are not numbered: numbers are noise in a search. Those of the outermost are blocks.
        while seq.next_element_seed(Value { lines: &mut *self.lines, depth: self.depth + 1 })?.is_some() {
            if self.depth == 0 {
                self.lines.count += BLOCK_LINES * usize::from(self.lines.path.is_empty());
            }
            if !self.lines.end_block_if_long() {
                return Err(serde::de::Error::custom("stopped"));
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let outer = self.lines.path.len();
        while let Some(key) = map.next_key::<String>()? {
            if outer > 0 {
                self.lines.path.push('.');
            }
            self.lines.path.push_str(&key);
            map.next_value_seed(Value { lines: &mut *self.lines, depth: self.depth + 1 })?;
            self.lines.path.truncate(outer);
            if !self.lines.end_block_if_long() {
                return Err(serde::de::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::emit::tests::blocks_of;
    use super::*;

    fn texts(json: &str) -> Vec<String> {
        blocks_of(|emitter| read(json, emitter)).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn values_become_lines_with_their_path() {
        assert_eq!(texts(r#"{"a":{"b":[1,true,null]},"c":"x y"}"#), ["a.b: 1\na.b: true\nc: x y"]);
        assert_eq!(texts(r#"[{"a":1},{"a":2}]"#), ["a: 1", "a: 2"]);
        assert_eq!(texts("{\"a\":1}\n{\"a\":2}\n"), ["a: 1", "a: 2"]);
    }

    #[test]
    fn what_is_not_json_stays_text() {
        assert_eq!(texts("{oops"), ["{oops"]);
        let deep = "[".repeat(10_000);
        assert_eq!(texts(&deep), [deep]);
    }
}
