//! Takes addresses out of text that has no marks any more: whatever names a scheme or begins with `www.`, up to where
//! it ends, and signs that are written by number. An address is dropped as it comes; only what may become one is held.

/// What begins an address, in small letters, when a sign that is seen follows. Words end in them without being one
/// ("metadata:x"), so no letter or digit may stand before.
const BEGINNINGS: [&str; 11] = [
    "http:",
    "https:",
    "www.",
    "data:",
    "file:",
    "ftp:",
    "ftps:",
    "blob:",
    "javascript:",
    "vbscript:",
    "mailto:",
];
/// What makes an address of any scheme.
const AUTHORITY: &str = "://";
/// Longest name of a sign: `&CounterClockwiseContourIntegral;`.
const ENTITY_BYTES_MAX: usize = 34;

/// See the module.
#[derive(Default)]
pub(super) struct Addresses {
    held: String,
    /// What stands before what is held, in the text.
    before: Option<char>,
    /// What was shown last.
    shown: Option<char>,
    dropping: bool,
}

enum Verdict {
    /// More has to come.
    Hold,
    /// The first sign is only what it is.
    Text,
    /// An address began.
    Address,
    /// A sign that is written by its number or name.
    Entity,
}

impl Addresses {
    /// What may be shown after this piece.
    pub(super) fn push(&mut self, piece: &str) -> String {
        let mut out = String::with_capacity(piece.len());
        for sign in piece.chars() {
            if self.dropping && !ends(sign) {
                continue;
            }
            self.dropping = false;
            self.held.push(sign);
            self.look(&mut out);
        }
        out
    }

    /// What may be shown of what was held.
    pub(super) fn finish(&mut self) -> String {
        let mut out = String::new();
        for sign in std::mem::take(&mut self.held).chars() {
            self.show(sign, &mut out);
        }
        out
    }

    fn look(&mut self, out: &mut String) {
        while let Some(first) = self.held.chars().next() {
            match verdict(&self.held, self.before) {
                Verdict::Hold => return,
                Verdict::Text => {
                    self.held.remove(0);
                    self.before = Some(first);
                    self.show(first, out);
                }
                Verdict::Address => {
                    self.held.clear();
                    self.before = None;
                    self.dropping = true;
                }
                Verdict::Entity => {
                    self.held.clear();
                    self.before = Some(' ');
                    self.show(' ', out);
                }
            }
        }
    }

    fn show(&mut self, sign: char, out: &mut String) {
        if self.shown == Some(']') {
            match sign {
                // What stood between was taken out: together they would be a link, or define one.
                '(' => out.push(' '),
                ':' => return,
                _ => {}
            }
        }
        // Nothing but a number may stand behind a bracket, and that is none of an image.
        if sign == '[' && self.shown == Some('!') {
            out.push(' ');
        }
        out.push(sign);
        self.shown = Some(sign);
    }
}

/// Whether an address cannot go on with this.
fn ends(sign: char) -> bool {
    !sign.is_ascii_graphic() || matches!(sign, ')' | '[' | ']' | '"' | '\'' | '`' | '>' | '}' | '|')
}

fn verdict(held: &str, before: Option<char>) -> Verdict {
    if let Some(name) = held.strip_prefix('&') {
        return entity(name);
    }
    // Brackets are numbers of sources by now.
    let seen = |last: char| last.is_ascii_graphic() && !matches!(last, '[' | ']');
    let last_is_seen = held.chars().next_back().is_some_and(seen);
    if let Some(rest) = held.strip_prefix(AUTHORITY) {
        return match rest.is_empty() {
            true => Verdict::Hold,
            false if last_is_seen => Verdict::Address,
            false => Verdict::Text,
        };
    }
    if AUTHORITY.starts_with(held) {
        return Verdict::Hold;
    }
    if before.is_some_and(|before| before.is_ascii_alphanumeric()) {
        return Verdict::Text;
    }
    let begins = |beginning: &&&str| {
        let common = held.len().min(beginning.len());
        held.is_char_boundary(common) && held[..common].eq_ignore_ascii_case(&beginning[..common])
    };
    match BEGINNINGS.iter().find(begins) {
        Some(beginning) if held.len() <= beginning.len() => Verdict::Hold,
        Some(_) if last_is_seen => Verdict::Address,
        _ => Verdict::Text,
    }
}

/// What `&` and this is.
fn entity(name: &str) -> Verdict {
    let (body, closed) = match name.strip_suffix(';') {
        Some(body) => (body, true),
        None => (name, false),
    };
    let fits = body.len() < ENTITY_BYTES_MAX
        && body
            .bytes()
            .enumerate()
            .all(|(place, byte)| byte.is_ascii_alphanumeric() || place == 0 && byte == b'#');
    match (fits, closed) {
        (true, false) => Verdict::Hold,
        (true, true) if !body.is_empty() && body != "#" => Verdict::Entity,
        _ => Verdict::Text,
    }
}
