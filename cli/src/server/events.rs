//! Server-sent events, read from pieces as they come. Pure.

/// Longest event, in bytes.
const EVENT_BYTES_MAX: usize = 1 << 20;

/// Something that happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// What kind of thing; `message` where the stream says nothing.
    pub name: String,
    /// What it was.
    pub data: String,
}

/// An event longer than any that docmill sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// Reads a stream.
#[derive(Debug, Default)]
pub struct Parser {
    /// Begin of a line whose end is not there yet.
    rest: Vec<u8>,
    name: String,
    data: String,
    has_data: bool,
    last_id: Option<String>,
}

impl Parser {
    /// What the next bytes complete.
    pub fn push(&mut self, bytes: &[u8], each: &mut dyn FnMut(Event)) -> Result<(), TooLong> {
        let mut bytes = bytes;
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, after) = (&bytes[..end], &bytes[end + 1..]);
            bytes = after;
            let line = if self.rest.is_empty() {
                self.line(line)
            } else {
                self.rest.extend_from_slice(line);
                let whole = std::mem::take(&mut self.rest);
                self.line(&whole)
            };
            line.into_iter().for_each(&mut *each);
        }
        self.rest.extend_from_slice(bytes);
        let held = self.rest.len() + self.data.len();
        if held > EVENT_BYTES_MAX { Err(TooLong) } else { Ok(()) }
    }

    /// The last event that was named, with which a stream that broke goes on.
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// After a break: what was half read comes again.
    pub fn broke(&mut self) {
        self.rest.clear();
        self.name.clear();
        self.data.clear();
        self.has_data = false;
    }

    fn line(&mut self, line: &[u8]) -> Option<Event> {
        let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line));
        if line.is_empty() {
            let name = std::mem::take(&mut self.name);
            let data = std::mem::take(&mut self.data);
            let name = if name.is_empty() { "message".to_owned() } else { name };
            return std::mem::take(&mut self.has_data).then_some(Event { name, data });
        }
        let (field, value) = line.split_once(':').unwrap_or((&*line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "id" => self.last_id = Some(value.to_owned()),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // Comments keep a connection open; `retry` is ours to decide.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": hello\n\nid: r-1\nevent: search_results\ndata: {}\n\nid: r-2\r\ndata: a\r\ndata: b\r\n\r\n\
                          event: lost\n\nid: r-3\nevent: end\ndata:\n\n";

    fn read(pieces: &[&[u8]]) -> (Vec<(String, String)>, Option<String>) {
        let mut parser = Parser::default();
        let mut read = Vec::new();
        for piece in pieces {
            parser.push(piece, &mut |event| read.push((event.name, event.data))).unwrap();
        }
        (read, parser.last_id().map(str::to_owned))
    }

    #[test]
    fn events_are_read_however_they_are_cut() {
        let whole = read(&[STREAM.as_bytes()]);
        let event = |name: &str, data: &str| (name.to_owned(), data.to_owned());
        let expected = vec![event("search_results", "{}"), event("message", "a\nb"), event("end", "")];
        assert_eq!(whole, (expected, Some("r-3".to_owned())));
        for cut in 0..STREAM.len() {
            let (one, other) = STREAM.as_bytes().split_at(cut);
            assert_eq!(read(&[one, other]), whole, "{cut}");
        }
        let bytes: Vec<&[u8]> = STREAM.as_bytes().chunks(1).collect();
        assert_eq!(read(&bytes), whole);
    }

    #[test]
    fn an_event_without_an_end_is_given_up() {
        let mut parser = Parser::default();
        let piece = vec![b'x'; EVENT_BYTES_MAX / 2];
        assert_eq!(parser.push(&piece, &mut |_| ()), Ok(()));
        assert_eq!(parser.push(&[piece, vec![b'x']].concat(), &mut |_| ()), Err(TooLong));
    }
}
