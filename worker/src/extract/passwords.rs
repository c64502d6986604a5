//! Passwords that encrypted documents are tried with: from a text with one a line, and on to the children. They cross in
//! the request alone, and nothing prints them.

use docmill_core::failure::{Failure, FailureCode};
use serde::ser::Serializer;
use serde::{Deserialize, Deserializer};

use crate::secret::Secret;

/// Most passwords: a document may be tried with each, which takes up to a tenth of a second.
pub const PASSWORDS_MAX: usize = 64;

/// Longest password, in bytes: no PDF has a longer one.
pub const PASSWORD_BYTES_MAX: usize = 127;

/// The passwords of a text: one a line, in the order in which they are tried. Lines without anything say nothing.
///
/// # Errors
/// What is wrong with it, without any of it.
pub fn parse(text: &str) -> Result<Vec<Secret>, String> {
    let mut passwords = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        if line.len() > PASSWORD_BYTES_MAX || line.contains('\0') {
            return Err(format!(
                "has no password in line {}: one is of up to {PASSWORD_BYTES_MAX} bytes",
                at + 1
            ));
        }
        passwords.push(Secret::new(line));
    }
    if passwords.len() > PASSWORDS_MAX {
        return Err(format!("has {} passwords, {PASSWORDS_MAX} are allowed", passwords.len()));
    }
    Ok(passwords)
}

/// That something needs a password, and none of so many that are given opens it.
pub(super) fn locked(what: &str, given: usize) -> Failure {
    let detail = match given {
        0 => format!("{what} needs a password, and none is given"),
        given => format!("{what} needs a password that is not among those given ({given})"),
    };
    Failure::new(FailureCode::Encrypted, detail)
}

/// As they are: for the one frame in which a child gets them.
pub(super) fn serialize<S: Serializer>(passwords: &[Secret], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(passwords.iter().map(Secret::expose))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Secret>, D::Error> {
    Vec::deserialize(from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::ExtractOptions;

    #[test]
    fn one_a_line_and_none_too_long() {
        let found = parse("first\r\n\n two words \nlast").unwrap();
        let found: Vec<_> = found.iter().map(Secret::expose).collect();
        assert_eq!(found, ["first", " two words ", "last"]);
        assert!(parse("").unwrap().is_empty());
        let long = "hunter2".repeat(20);
        let problem = parse(&format!("a\n{long}")).unwrap_err();
        assert!(problem.contains("line 2") && !problem.contains("hunter2"), "{problem}");
        assert!(parse(&"x\n".repeat(PASSWORDS_MAX + 1)).unwrap_err().contains("65 passwords"));
    }

    #[test]
    fn they_reach_a_child_and_are_not_printed() {
        let options = ExtractOptions { passwords: parse("hunter2").unwrap(), ..ExtractOptions::default() };
        assert!(!format!("{options:?}").contains("hunter2"));
        let sent = serde_json::to_string(&options).unwrap();
        let got: ExtractOptions = serde_json::from_str(&sent).unwrap();
        assert_eq!(got.passwords[0].expose(), "hunter2");
    }
}
