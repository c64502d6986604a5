//! What can go wrong with an object, told apart by what can be done about it.

use std::error::Error as StdError;
use std::io;

use docmill_core::failure::{Failure, FailureCode};
use object_store::client::{HttpError, HttpErrorKind};

/// Longest part of a server's own words that is kept, in characters.
const SAID_CHARS_MAX: usize = 200;

/// A call that did not do what it was asked. A put that failed left the object as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such object, or no such bucket.
    #[error("there is no object {0}")]
    Missing(String),
    /// It is no longer the object that was asked for.
    #[error("the object {0} was replaced meanwhile")]
    Changed(String),
    /// The name cannot be an object's.
    #[error("{0:?} cannot be the name of an object")]
    Name(String),
    /// The credentials are wrong, or do not allow it.
    #[error("access was refused: {0}")]
    Denied(String),
    /// No answer, or one that asks to come back later. May pass by itself.
    #[error("the object store did not answer: {0}")]
    Unreachable(String),
    /// No space is left: in scratch, on the volume.
    #[error("no space is left: {0}")]
    DiskFull(String),
    /// More bytes than allowed.
    #[error("{bytes} bytes are more than the {max} that are allowed")]
    TooLarge {
        /// How many there are, as far as was counted.
        bytes: u64,
        /// How many may be.
        max: u64,
    },
    /// Who sends the content stopped before its end.
    #[error("the content ended early: {0}")]
    Sender(String),
    /// Anything else.
    #[error("the object store failed: {0}")]
    Failed(String),
}

impl Error {
    /// Whether the same call may do it later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::DiskFull(_) | Self::Changed(_) | Self::Failed(_))
    }

    /// From the file system; `what` is shown.
    pub(super) fn io(what: &str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing(what.to_owned()),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::Denied(format!("{what}: {error}"))
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull(what.to_owned()),
            _ => Self::Failed(format!("{what}: {error}")),
        }
    }

    /// From a back end over a network; `key` is shown.
    pub(super) fn remote(key: &str, error: object_store::Error) -> Self {
        use object_store::Error as Remote;
        match &error {
            Remote::NotFound { .. } => Self::Missing(key.to_owned()),
            Remote::Precondition { .. } | Remote::NotModified { .. } => Self::Changed(key.to_owned()),
            Remote::PermissionDenied { .. } | Remote::Unauthenticated { .. } => Self::Denied(said(&error)),
            Remote::InvalidPath { .. } => Self::Name(key.to_owned()),
            // Lists and others wrap what the server said.
            _ => match (status(&error), http_kind(&error)) {
                (Some(404), _) => Self::Missing(key.to_owned()),
                (Some(412), _) => Self::Changed(key.to_owned()),
                (Some(401 | 403), _) => Self::Denied(said(&error)),
                (Some(429 | 500..), _) => Self::Unreachable(said(&error)),
                (None, Some(kind)) if kind != HttpErrorKind::Decode => Self::Unreachable(said(&error)),
                _ => Self::Failed(said(&error)),
            },
        }
    }
}

/// The status of the server's answer, which is public in the text alone.
fn status(error: &object_store::Error) -> Option<u16> {
    let text = error.to_string();
    let (_, rest) = text.split_once("status code: ")?;
    rest.get(..3)?.parse().ok()
}

/// What kept a request from an answer.
fn http_kind(error: &object_store::Error) -> Option<HttpErrorKind> {
    let mut next: Option<&(dyn StdError + 'static)> = error.source();
    while let Some(error) = next {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return Some(http.kind());
        }
        next = error.source();
    }
    None
}

/// The code and message of an answer in XML, else the innermost words: the whole answer may repeat what was
/// signed.
fn said(error: &object_store::Error) -> String {
    let whole = error.to_string();
    let between = |open: &str, close: &str| {
        let rest = whole.split_once(open)?.1;
        Some(rest.split_once(close)?.0.to_owned())
    };
    let text = match (between("<Code>", "</Code>"), between("<Message>", "</Message>")) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code,
        _ => innermost(error),
    };
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.chars().filter(|c| !c.is_control()).take(SAID_CHARS_MAX).collect()
}

fn innermost(error: &object_store::Error) -> String {
    let mut last: &(dyn StdError + 'static) = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

impl From<Error> for Failure {
    /// As the failure of the document that the object is the content of.
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Missing(_) => FailureCode::Vanished,
            Error::Changed(_) => FailureCode::ChangedWhileRead,
            Error::Name(_) | Error::Denied(_) | Error::Sender(_) => FailureCode::Unreadable,
            Error::TooLarge { .. } => FailureCode::LimitFileSize,
            Error::DiskFull(_) => FailureCode::DiskFull,
            Error::Unreachable(_) | Error::Failed(_) => FailureCode::StoreFailed,
        };
        Failure::new(code, error.to_string())
    }
}
