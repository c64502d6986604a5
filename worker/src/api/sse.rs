//! Server-sent events: what happens is told as it happens, and when nothing does, that the connection still lives.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use tokio::sync::{mpsc, watch};

/// Silence after which a comment is sent: proxies end connections that say nothing for 30 s or more.
pub const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a client may read nothing before it is let go.
const UNREAD_MAX: Duration = Duration::from_secs(60);
/// Pieces that wait for a client that reads slowly.
const WAITING_MAX: usize = 8;
/// Events that are written together where they are there together.
const TOGETHER_MAX: usize = 32;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What a client names to go on after it.
    pub id: Option<String>,
    /// What kind of thing happened; none for clients that know only data.
    pub name: &'static str,
    /// What it was.
    pub data: String,
}

impl Event {
    /// As it is sent.
    fn write(&self, out: &mut String) {
        if let Some(id) = &self.id {
            out.extend(["id: ", id, "\n"]);
        }
        if !self.name.is_empty() {
            out.extend(["event: ", self.name, "\n"]);
        }
        // A line end of any kind would end the field.
        for line in self.data.split(['\n', '\r']) {
            out.push_str("data: ");
            out.push_str(line);
            out.push('\n');
        }
        out.push('\n');
    }
}

/// How long is waited for what.
#[derive(Clone, Copy)]
struct Pace {
    heartbeat: Duration,
    unread_max: Duration,
}

/// An answer that goes on until the events end or `stop` turns true. A client that is gone ends the events too.
pub fn response(
    events: impl Stream<Item = Event> + Send + 'static,
    stop: watch::Receiver<bool>,
) -> Response {
    paced(events, stop, Pace { heartbeat: HEARTBEAT, unread_max: UNREAD_MAX })
}

/// An answer of events that are all there: it needs nobody who waits for more.
pub fn whole(events: &[Event]) -> Response {
    let mut text = String::new();
    events.iter().for_each(|event| event.write(&mut text));
    with_head(Body::from(text))
}

fn paced(
    events: impl Stream<Item = Event> + Send + 'static,
    stop: watch::Receiver<bool>,
    pace: Pace,
) -> Response {
    let (pieces, told) = mpsc::channel(WAITING_MAX);
    tokio::spawn(tell(events, pieces, stop, pace));
    let told = stream::unfold(told, |mut told| async move {
        told.recv().await.map(|piece| (Ok::<Bytes, Infallible>(piece), told))
    });
    with_head(Body::from_stream(told))
}

fn with_head(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies of the nginx kind hold answers back until they are whole.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

async fn tell(
    events: impl Stream<Item = Event> + Send + 'static,
    pieces: mpsc::Sender<Bytes>,
    mut stop: watch::Receiver<bool>,
    pace: Pace,
) {
    let mut events = Box::pin(events.ready_chunks(TOGETHER_MAX));
    loop {
        let next = tokio::select! {
            next = tokio::time::timeout(pace.heartbeat, events.next()) => next,
            _ = stop.wait_for(|stop| *stop) => return,
            () = pieces.closed() => return,
        };
        let mut piece = String::new();
        match next {
            Ok(Some(together)) => together.iter().for_each(|event| event.write(&mut piece)),
            Ok(None) => return,
            Err(_) => piece.push_str(": \n\n"),
        }
        if pieces.send_timeout(Bytes::from(piece), pace.unread_max).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: Option<&str>, name: &'static str, data: &str) -> Event {
        Event { id: id.map(str::to_owned), name, data: data.to_owned() }
    }

    async fn text(response: Response) -> String {
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn events_are_written_as_browsers_read_them() {
        let (_going, stop) = watch::channel(false);
        let events = vec![event(Some("a-1"), "message", "{}"), event(None, "", "one\ntwo")];
        let answer = response(stream::iter(events), stop);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream");
        let expected = "id: a-1\nevent: message\ndata: {}\n\ndata: one\ndata: two\n\n";
        assert_eq!(text(answer).await, expected);
        let events = [event(Some("a-1"), "message", "{}"), event(None, "", "one\ntwo")];
        let answer = whole(&events);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream");
        assert_eq!(text(answer).await, expected);
    }

    #[tokio::test]
    async fn silence_is_broken_and_the_end_of_the_server_ends_it() {
        let (going, stop) = watch::channel(false);
        let pace = Pace { heartbeat: Duration::from_millis(5), unread_max: UNREAD_MAX };
        let mut pieces = paced(stream::pending(), stop, pace).into_body().into_data_stream();
        assert_eq!(pieces.next().await.unwrap().unwrap(), ": \n\n");
        going.send(true).unwrap();
        while let Some(piece) = pieces.next().await {
            assert_eq!(piece.unwrap(), ": \n\n");
        }
    }

    #[tokio::test]
    async fn who_reads_nothing_is_let_go() {
        let (_going, stop) = watch::channel(false);
        let (held, events) = mpsc::channel::<()>(1);
        // More than may wait, each a piece of its own.
        let many = stream::unfold(events, |events| async move {
            tokio::task::yield_now().await;
            Some((event(None, "message", "x"), events))
        });
        let pace = Pace { heartbeat: HEARTBEAT, unread_max: Duration::from_millis(5) };
        let unread = paced(many, stop, pace);
        held.closed().await;
        drop(unread);
    }

    #[tokio::test]
    async fn a_client_that_goes_away_ends_the_events() {
        let (_going, stop) = watch::channel(false);
        let (held, events) = mpsc::channel::<()>(1);
        let endless = stream::unfold(events, |mut events| async move {
            let () = events.recv().await?;
            Some((event(None, "message", "x"), events))
        });
        drop(response(endless, stop));
        held.closed().await;
    }
}
