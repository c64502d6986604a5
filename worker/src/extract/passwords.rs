//! Passwords that encrypted documents are tried with: from a text with one a line, and on to the children. They cross in
//! the request alone, and nothing prints them.

use std::cell::{Cell, RefCell};

use docmill_core::failure::{Failure, FailureCode};
use serde::ser::Serializer;
use serde::{Deserialize, Deserializer};

use crate::secret::Secret;

/// Most passwords: a document may be tried with each, which takes up to a tenth of a second.
pub const PASSWORDS_MAX: usize = 64;

/// Longest password, in bytes: no PDF has a longer one.
pub const PASSWORD_BYTES_MAX: usize = 127;

/// Most passwords that are tried and do not fit, in archives and Office documents that are one document or lie in it, at all
/// depths together: of thousands that are locked each would be tried with all.
pub(super) const WRONG_TRIES_MAX: u32 = 1_000;

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

/// What was tried on one document and on all that lies in it.
#[derive(Debug, Default)]
pub(super) struct Tries {
    wrong: Cell<u32>,
    /// Which passwords have fitted, the last one last: what lies together mostly has the same.
    fitted: RefCell<Vec<usize>>,
}

impl Tries {
    /// What is opened by the first of the passwords that fits; nothing where none does. Those that have fitted are tried
    /// before the others, the last one first, and are no try that counts: they are few, and open most of what follows.
    ///
    /// # Errors
    /// [`WRONG_TRIES_MAX`] had failed before all were tried.
    pub fn first<'p, T>(
        &self,
        what: &str,
        passwords: &'p [Secret],
        mut open: impl FnMut(&'p Secret) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        let fitted = self.fitted.borrow().clone();
        let others = (0..passwords.len()).filter(|number| !fitted.contains(number));
        for number in fitted.iter().rev().copied().chain(others) {
            let Some(password) = passwords.get(number) else { continue };
            let counts = !fitted.contains(&number);
            let wrong = self.wrong.get();
            if counts && wrong >= WRONG_TRIES_MAX {
                let detail = format!(
                    "{what} needs a password, and not all that are given ({}) were tried: in the whole document {WRONG_TRIES_MAX} tries may fail, and as many did",
                    passwords.len()
                );
                return Err(Failure::new(FailureCode::Encrypted, detail));
            }
            // Before it is opened, as a parser may give up over it.
            self.wrong.set(wrong + u32::from(counts));
            if let Some(opened) = open(password) {
                self.wrong.set(wrong);
                let mut fitted = self.fitted.borrow_mut();
                fitted.retain(|&other| other != number);
                fitted.push(number);
                return Ok(Some(opened));
            }
        }
        Ok(None)
    }
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
    fn those_that_fitted_are_tried_first_and_only_so_many_others_may_fail() {
        let (passwords, tries) = (parse("a\nb\nc").unwrap(), Tries::default());
        let tried = |fits: &str| {
            let mut tried = String::new();
            let opened = tries.first("it", &passwords, |password| {
                tried.push_str(password.expose());
                (password.expose() == fits).then_some(())
            });
            (tried, opened.map(|opened| opened.is_some()))
        };
        assert_eq!(tried("b"), ("ab".to_owned(), Ok(true)));
        // What fits costs nothing, however often.
        for _ in 0..=WRONG_TRIES_MAX {
            assert_eq!(tried("b"), ("b".to_owned(), Ok(true)));
        }
        assert_eq!(tried("c"), ("bac".to_owned(), Ok(true)));
        assert_eq!(tried("none"), ("cba".to_owned(), Ok(false)));
        // Of all that was in vain only "a" counts, three times: the others have fitted before.
        assert_eq!(tries.wrong.get(), 3);
        while tries.wrong.get() < WRONG_TRIES_MAX {
            assert_eq!(tried("none").1, Ok(false));
        }
        // What has opened something still does.
        assert_eq!(tried("b"), ("cb".to_owned(), Ok(true)));
        let (tried, failed) = tried("a");
        let failure = failed.unwrap_err();
        assert_eq!((tried.as_str(), failure.code), ("bc", FailureCode::Encrypted));
        assert_eq!(
            failure.detail,
            "it needs a password, and not all that are given (3) were tried: in the whole document 1000 tries may fail, and as many did"
        );
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
