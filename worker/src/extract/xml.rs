//! XML as a run of events: streamed, bounded, entities not expanded, nothing fetched that it names.
//! Knows no vocabulary.

use std::io::{self, BufRead, Read};

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::limits::Limits;
use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesRef, BytesStart, Event};

/// Calls back for every event. Gives how many bytes were read, which is more than `bytes_max` where that stopped it, and
/// the first failure: of the callback, or of the XML.
pub(super) fn events(
    from: impl BufRead,
    what: &str,
    bytes_max: u64,
    limits: &Limits,
    mut each: impl FnMut(Event<'_>) -> Result<(), Failure>,
) -> (u64, Result<(), Failure>) {
    // Twice: tags and references are longer than what they stand for.
    let run_max = (limits.text_mib << 20).saturating_mul(2);
    let mut reader = Reader::from_reader(Bounded { from, read: 0, read_max: bytes_max, run: 0, run_max });
    reader.config_mut().check_end_names = false;
    reader.config_mut().allow_dangling_amp = true;
    let mut buffer = Vec::new();
    let mut depth = 0u64;
    let outcome = loop {
        let event = match reader.read_event_into(&mut buffer) {
            Ok(Event::Eof) if depth == 0 => break Ok(()),
            Ok(Event::Eof) => break Err(damaged(format!("{what} ends too early"))),
            Ok(event) => event,
            Err(error) => break Err(damaged(format!("{what}: {error}"))),
        };
        match &event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        if let Err(failure) = each(event) {
            break Err(failure);
        }
        buffer.clear();
        reader.get_mut().run = 0;
    };
    let bounded = reader.into_inner();
    if outcome.is_err() && bounded.run > bounded.run_max {
        return (bounded.read, Err(super::emit::text_limit(limits)));
    }
    (bounded.read, outcome)
}

fn damaged(detail: String) -> Failure {
    Failure::new(FailureCode::Damaged, detail)
}

/// Stops after so many bytes, and within one event after fewer: the parser holds an event whole.
struct Bounded<R> {
    from: R,
    read: u64,
    read_max: u64,
    run: u64,
    run_max: u64,
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(buffer.len());
        buffer[..count].copy_from_slice(&available[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.read > self.read_max || self.run > self.run_max {
            return Err(io::Error::other("it is longer than allowed"));
        }
        self.from.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.read += count as u64;
        self.run += count as u64;
        self.from.consume(count);
    }
}

/// A name without its prefix.
pub(super) fn local(name: &str) -> &str {
    name.rsplit_once(':').map_or(name, |(_, local)| local)
}

/// The value of an attribute, by its name with or without the prefix.
pub(super) fn attribute(tag: &BytesStart<'_>, wanted: &str) -> Option<String> {
    let mut attributes = tag.attributes();
    // Checking for doubles takes the square of their number.
    attributes.with_checks(false);
    attributes.flatten().find_map(|attribute| {
        let key: &str = attribute.key.as_ref();
        (key == wanted || local(key) == wanted)
            .then(|| unescape(&attribute.value).map(|value| value.into_owned()).unwrap_or_default())
    })
}

/// Adds the text of a character reference or one of the five entities that XML has; others mean nothing.
pub(super) fn push_reference(text: &mut String, reference: &BytesRef<'_>) {
    match reference.resolve_char_ref() {
        Ok(Some(c)) => text.push(c),
        _ => text.push_str(match &**reference {
            "amp" => "&",
            "lt" => "<",
            "gt" => ">",
            "quot" => "\"",
            "apos" => "'",
            _ => "",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(xml: &str, bytes_max: u64, limits: &Limits) -> (u64, Result<(), Failure>) {
        let from = io::BufReader::with_capacity(64, xml.as_bytes());
        events(from, "it", bytes_max, limits, |_| Ok(()))
    }

    #[test]
    fn it_stops_at_its_bounds_and_an_early_end_is_damage() {
        let limits = Limits { text_mib: 1, ..Limits::default() };
        assert_eq!(run("<a>x &amp; &unknown; y & z</a>", 99, &limits).1, Ok(()));
        assert_eq!(run("<a><b>x</b>", 99, &limits).1.unwrap_err().code, FailureCode::Damaged);
        let long = format!("<a>{}</a>", "x".repeat(3 << 20));
        assert_eq!(run(&long, 9 << 20, &limits).1.unwrap_err().code, FailureCode::LimitText);
        let many = format!("<a>{}</a>", "<b/>".repeat(100));
        let (read, outcome) = run(&many, 100, &limits);
        assert!(read > 100 && read < 200 && outcome.is_err());
    }
}
