//! Follows a pipeline's observation stream, and opens it again whenever it ends, is silent or says nonsense.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Response;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};

use super::Clock;
use super::api::{Error, PipelineApi, told, unreachable};
use super::hands::Target;
use super::line::{self, LINE_BYTES_MAX, Line, Said};

/// Longest time without a line.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Shortest and longest wait before a stream is opened again, in milliseconds.
const WAIT_MS_MIN: u64 = 200;
const WAIT_MS_MAX: u64 = 5_000;
/// Room that is kept for the next line, in bytes.
const ROOM_BYTES: usize = 4 << 10;

/// What was heard of a pipeline.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// The last line, and when it came.
    pub last: Option<(Arc<Line>, u64)>,
    /// Why none comes now.
    pub unheard: Option<String>,
}

/// Follows until it is dropped. Lines that come while nobody looks are lost, but for the last.
pub async fn follow(api: &PipelineApi, target: &Target, clock: Clock, heard: &watch::Sender<Heard>) {
    let mut failed = 0;
    loop {
        let mut lines = 0u64;
        let end = match api.observations(target).await {
            Ok(answer) => {
                listen(answer, api.interval(), |said| {
                    lines += 1;
                    take(said, clock.now_ms(), heard);
                })
                .await
            }
            Err(error) => error,
        };
        failed = if lines > 0 { 0 } else { failed + 1 };
        tracing::debug!(pipeline = %target.key, error = &end as &dyn std::error::Error, "no observations");
        heard.send_if_modified(|heard| {
            let why = Some(told(&end));
            let changed = heard.unheard != why;
            heard.unheard = why;
            changed
        });
        sleep(wait(failed, getrandom::u32().unwrap_or(u32::MAX / 2))).await;
    }
}

fn take(said: Said, now_ms: u64, heard: &watch::Sender<Heard>) {
    heard.send_modify(|heard| match said {
        Said::Line(line) => *heard = Heard { last: Some((Arc::new(line), now_ms)), unheard: None },
        // What was known stays known until it is too old.
        Said::Problem(problem) => heard.unheard = Some(problem),
    });
}

/// Listens until there is a reason to end.
async fn listen(mut answer: Response, interval: Duration, mut each: impl FnMut(Said)) -> Error {
    let silence_max = SILENCE_MAX.max(interval * 3);
    let mut lines = Lines::default();
    let mut silent_until = Instant::now() + silence_max;
    loop {
        let chunk = match timeout_at(silent_until, answer.chunk()).await {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => return Error::Ended,
            Ok(Err(error)) => return unreachable(error),
            Err(_) => return Error::Silent,
        };
        let taken = lines.take(&chunk, |text| {
            if text.is_empty() {
                return Ok(());
            }
            each(line::read(text)?);
            silent_until = Instant::now() + silence_max;
            Ok(())
        });
        if let Err(error) = taken {
            return error.into();
        }
    }
}

/// How long to wait after so many failures in a row: longer each time, and not all at once.
fn wait(failed: u32, random: u32) -> Duration {
    let most_ms = WAIT_MS_MIN.saturating_mul(1 << failed.min(16)).min(WAIT_MS_MAX);
    let spread_ms = (most_ms - WAIT_MS_MIN) * u64::from(random) / u64::from(u32::MAX);
    Duration::from_millis(WAIT_MS_MIN + spread_ms)
}

/// Makes lines of what comes in pieces.
#[derive(Debug, Default)]
struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// Takes the next piece in; each line that it ends is read.
    fn take(
        &mut self,
        piece: &[u8],
        mut read: impl FnMut(&[u8]) -> Result<(), line::Error>,
    ) -> Result<(), line::Error> {
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|letter| *letter == b'\n') {
            let (line, after) = (&rest[..end], &rest[end + 1..]);
            if self.begun.is_empty() {
                read(line)?;
            } else {
                self.begin(line)?;
                read(&self.begun)?;
                self.begun.clear();
                self.begun.shrink_to(ROOM_BYTES);
            }
            rest = after;
        }
        self.begin(rest)
    }

    fn begin(&mut self, piece: &[u8]) -> Result<(), line::Error> {
        if self.begun.len() + piece.len() > LINE_BYTES_MAX {
            return Err(line::Error::TooLong);
        }
        self.begun.extend_from_slice(piece);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::http::{HeaderMap, header};
    use axum::routing::get;
    use futures::{StreamExt, stream};

    use super::super::api::Settings;
    use super::super::token::test_tokens;
    use super::*;
    use crate::pipeline_key::PipelineKey;

    #[test]
    fn lines_come_in_pieces() {
        let cases: [(&[&str], &[&str]); 5] = [
            (&["a\nb\n"], &["a", "b"]),
            (&["a", "b\n", "c"], &["ab"]),
            (&["a", "", "\n", "\n"], &["a", ""]),
            (&["ab\nc", "d\ne"], &["ab", "cd"]),
            (&[], &[]),
        ];
        for (pieces, expected) in cases {
            let (mut lines, mut read) = (Lines::default(), Vec::new());
            for piece in pieces {
                let each = |text: &[u8]| {
                    read.push(String::from_utf8_lossy(text).into_owned());
                    Ok(())
                };
                lines.take(piece.as_bytes(), each).unwrap();
            }
            assert_eq!(read, expected, "{pieces:?}");
        }
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let mut lines = Lines::default();
        let piece = vec![b'x'; LINE_BYTES_MAX];
        assert_eq!(lines.take(&piece, |_| Ok(())), Ok(()));
        assert_eq!(lines.take(b"x", |_| Ok(())), Err(line::Error::TooLong));
    }

    #[test]
    fn waits_grow_and_differ() {
        let range = |failed| (wait(failed, 0).as_millis(), wait(failed, u32::MAX).as_millis());
        assert_eq!(range(0), (200, 200));
        assert_eq!(range(1), (200, 400));
        assert_eq!(range(4), (200, 3_200));
        assert_eq!(range(5), (200, 5_000));
        assert_eq!(range(u32::MAX), (200, 5_000));
    }

    const LINE: &str = concat!(
        r#"{"atMs":1,"queueReachable":true,"workers":[],"#,
        r#""lanes":[{"lane":"small","waiting":7,"inFlight":0,"delayed":0,"due":0,"unsettled":7,"dead":0}]}"#,
        "\n"
    );

    #[tokio::test]
    async fn a_stream_is_heard_and_opened_again() {
        let answer = |headers: HeaderMap| async move {
            assert!(headers[header::AUTHORIZATION].to_str().unwrap().starts_with("Bearer ey"));
            let later = stream::once(async {
                sleep(Duration::from_millis(300)).await;
                LINE
            });
            Body::from_stream(stream::iter([LINE]).chain(later).map(Ok::<_, std::convert::Infallible>))
        };
        let router = Router::new().route("/team/books/internal/v1/observations", get(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/{{namespace}}/{{pipeline}}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let settings = Settings { base, interval: Duration::from_millis(250) };
        let api = PipelineApi::new(settings, Arc::new(test_tokens())).unwrap();
        let (heard, mut hears) = watch::channel(Heard::default());
        let target = Target { key: PipelineKey::new("team", "books"), uid: "u".into() };
        let clock = Clock::start();
        let following = tokio::spawn(async move { follow(&api, &target, clock, &heard).await });
        let waiting = |heard: &Heard| heard.last.as_ref().and_then(|(line, _)| Some(line.depth?.waiting));
        hears.wait_for(|heard| waiting(heard) == Some(7) && heard.unheard.is_none()).await.unwrap();
        hears.wait_for(|heard| heard.unheard.as_deref() == Some("the stream ended")).await.unwrap();
        hears.wait_for(|heard| waiting(heard) == Some(7) && heard.unheard.is_none()).await.unwrap();
        following.abort();
    }
}
