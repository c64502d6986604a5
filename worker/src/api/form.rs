//! Forms with files, from clients that may be slow, silent or gone: no part of one takes for ever.

use std::io;
use std::time::{Duration, Instant};

use axum::extract::Multipart;
use axum::extract::multipart::Field;
use futures::stream::{self, StreamExt};

use super::problem::Problem;
use crate::objects;

/// Longest time that a client sends nothing, or takes for what is not content.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Least that a client sends in that time of waiting for it, in bytes: who sends less holds the place of others.
const PACE_BYTES_MIN: usize = 16 << 10;

fn broken<E>(_: E) -> Problem {
    objects::Error::Sender(String::new()).into()
}

/// The next part, once its head is there.
///
/// # Errors
/// It broke off, or was not there in time.
pub async fn next(multipart: &mut Multipart) -> Result<Option<Field<'_>>, Problem> {
    let part = tokio::time::timeout(SILENCE_MAX, multipart.next_field()).await;
    part.map_err(broken)?.map_err(broken)
}

/// The text of a part, not much more than `bytes_max` of it.
///
/// # Errors
/// It broke off, or was not there in time.
pub async fn text(mut field: Field<'_>, bytes_max: usize) -> Result<String, Problem> {
    let read = async {
        let mut text = Vec::new();
        while let Some(bytes) = field.chunk().await.map_err(broken)? {
            text.extend_from_slice(&bytes);
            if text.len() > bytes_max {
                break;
            }
        }
        Ok::<_, Problem>(String::from_utf8_lossy(&text).into_owned())
    };
    tokio::time::timeout(SILENCE_MAX, read).await.map_err(broken)?
}

/// How fast somebody sends, by the time that is waited for them alone.
#[derive(Default)]
struct Pace {
    waited: Duration,
    bytes: usize,
}

impl Pace {
    /// Whether it is still fast enough, after another wait that brought so many bytes.
    fn holds(&mut self, waited: Duration, bytes: usize) -> bool {
        self.waited += waited;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.waited < SILENCE_MAX {
            return true;
        }
        let holds = self.bytes >= PACE_BYTES_MIN;
        *self = Self::default();
        holds
    }
}

/// The field's bytes as they come; silence is an end, and so is little more than silence.
pub fn content(field: Field<'_>) -> objects::Content<'_> {
    stream::unfold((field, Pace::default()), move |(mut field, mut pace)| async move {
        let began = Instant::now();
        let slow = || io::Error::from(io::ErrorKind::TimedOut);
        let came = match tokio::time::timeout(SILENCE_MAX, field.chunk()).await {
            Ok(Ok(Some(bytes))) if pace.holds(began.elapsed(), bytes.len()) => Ok(bytes),
            Ok(Ok(Some(_))) | Err(_) => Err(slow()),
            Ok(Ok(None)) => return None,
            Ok(Err(error)) => Err(io::Error::other(error.to_string())),
        };
        Some((came, (field, pace)))
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sends_hardly_anything_does_not_hold_a_place() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::default();
        assert!((0..600).all(|_| pace.holds(second, PACE_BYTES_MIN / 60 + 1)), "slow, and steady");
        let mut pace = Pace::default();
        assert!(!(0..61).all(|_| pace.holds(second, 1)));
        // What we take long for is not theirs.
        let mut pace = Pace::default();
        assert!((0..10_000).all(|_| pace.holds(Duration::ZERO, 1)));
    }
}
