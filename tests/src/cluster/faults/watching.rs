//! What watches say to an operator, and what they may say wrongly: old events again, others never, `410 Gone`, an end
//! in the middle.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, BodyDataStream, Bytes};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Events of a kind that are kept to be said again.
const KEPT_MAX: usize = 1_000;

/// All watches that pass through a proxy.
#[derive(Default)]
pub struct Watches {
    open: Mutex<Vec<Open>>,
    /// What was said so far, by kind: lines of events, without bookmarks.
    said: Mutex<HashMap<String, VecDeque<Bytes>>>,
    /// Events that are not passed on: kind, and type such as `DELETED`.
    hidden: Mutex<Vec<(&'static str, &'static str)>>,
}

struct Open {
    kind: String,
    say: mpsc::UnboundedSender<Told>,
}

/// What a watch is told to do.
enum Told {
    /// Say this line.
    Line(Bytes),
    /// End in order.
    End,
    /// Break off.
    Break,
}

impl Watches {
    /// Passes a watch's answer on, line by line.
    pub(super) fn pass(self: &Arc<Self>, path: &str, upstream: BodyDataStream) -> Body {
        let kind = path.rsplit('/').next().unwrap_or_default().to_owned();
        let (say, told) = mpsc::unbounded_channel();
        let mut open = lock(&self.open);
        open.retain(|open| !open.say.is_closed());
        open.push(Open { kind: kind.clone(), say });
        drop(open);
        let (begun, whole) = (Vec::new(), VecDeque::new());
        let passing = Passing { watches: self.clone(), kind, upstream, told, begun, whole };
        Body::from_stream(stream::unfold(Some(passing), |passing| async move {
            let mut passing = passing?;
            match passing.next().await {
                Ok(line) => line.map(|line| (Ok(line), Some(passing))),
                Err(error) => Some((Err(error), None)),
            }
        }))
    }

    /// Says all events of a kind again, newest first: the last word on each object is its first state. Gives their
    /// number.
    pub fn replay(&self, kind: &str) -> usize {
        let lines: Vec<Bytes> = lock(&self.said).get(kind).into_iter().flatten().rev().cloned().collect();
        for line in &lines {
            self.tell(kind, || Told::Line(line.clone()));
        }
        lines.len()
    }

    /// Says the first event of an object of that name again. Whether there was one.
    pub fn replay_first(&self, kind: &str, name: &str) -> bool {
        let is_it = |line: &&Bytes| {
            let event: Value = serde_json::from_slice(line).unwrap_or_default();
            event["object"]["metadata"]["name"] == name && event["type"] != "DELETED"
        };
        let first = lock(&self.said).get(kind).and_then(|lines| lines.iter().find(is_it).cloned());
        let Some(first) = first else { return false };
        self.tell(kind, || Told::Line(first.clone()));
        true
    }

    /// Events of this type of a kind are not passed on any more.
    pub fn hide(&self, kind: &'static str, event: &'static str) {
        lock(&self.hidden).push((kind, event));
    }

    /// Nothing is hidden any more; what was stays unsaid.
    pub fn hide_nothing(&self) {
        lock(&self.hidden).clear();
    }

    /// Tells every watch that what it saw is too old: it has to list anew.
    pub fn gone(&self) {
        let status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "too old resource version", "reason": "Expired", "code": 410,
        });
        let line = Bytes::from(format!("{}\n", json!({"type": "ERROR", "object": status})));
        self.tell_all(|| Told::Line(line.clone()));
        self.tell_all(|| Told::End);
    }

    /// Breaks every watch off.
    pub fn break_off(&self) {
        self.tell_all(|| Told::Break);
    }

    fn tell(&self, kind: &str, told: impl Fn() -> Told) {
        for open in lock(&self.open).iter().filter(|open| open.kind == kind) {
            // One that ended hears nothing.
            let _ = open.say.send(told());
        }
    }

    fn tell_all(&self, told: impl Fn() -> Told) {
        for open in lock(&self.open).iter() {
            let _ = open.say.send(told());
        }
    }

    /// Notes an event; whether it is to be passed on.
    fn is_said(&self, kind: &str, line: &Bytes) -> bool {
        let event: Value = serde_json::from_slice(line).unwrap_or_default();
        let type_ = event["type"].as_str().unwrap_or_default();
        if lock(&self.hidden).iter().any(|(hidden, event)| *hidden == kind && *event == type_) {
            return false;
        }
        if !matches!(type_, "BOOKMARK" | "ERROR") {
            let mut said = lock(&self.said);
            let lines = said.entry(kind.to_owned()).or_default();
            lines.push_back(line.clone());
            if lines.len() > KEPT_MAX {
                lines.pop_front();
            }
        }
        true
    }
}

/// One watch on its way.
struct Passing {
    watches: Arc<Watches>,
    kind: String,
    upstream: BodyDataStream,
    told: mpsc::UnboundedReceiver<Told>,
    /// Of a line whose end has not come yet.
    begun: Vec<u8>,
    whole: VecDeque<Bytes>,
}

impl Passing {
    /// The next line; none at the end.
    async fn next(&mut self) -> std::io::Result<Option<Bytes>> {
        loop {
            if let Some(line) = self.whole.pop_front() {
                return Ok(Some(line));
            }
            tokio::select! {
                told = self.told.recv() => match told {
                    Some(Told::Line(line)) => return Ok(Some(line)),
                    Some(Told::End) | None => return Ok(None),
                    Some(Told::Break) => return Err(std::io::Error::other("broken off")),
                },
                piece = self.upstream.next() => match piece {
                    Some(Ok(piece)) => self.take(&piece),
                    Some(Err(error)) => return Err(std::io::Error::other(error)),
                    None => return Ok(None),
                },
            }
        }
    }

    fn take(&mut self, piece: &[u8]) {
        for letter in piece.split_inclusive(|letter| *letter == b'\n') {
            self.begun.extend_from_slice(letter);
            if letter.ends_with(b"\n") {
                let line = Bytes::from(std::mem::take(&mut self.begun));
                if self.watches.is_said(&self.kind, &line) {
                    self.whole.push_back(line);
                }
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(type_: &str, version: u32) -> String {
        format!(
            "{}\n",
            json!({"type": type_, "object": {"metadata": {"name": "a", "resourceVersion": version}}})
        )
    }

    #[tokio::test]
    async fn events_are_hidden_and_said_again() {
        let watches = Arc::new(Watches::default());
        let (added, deleted) = (event("ADDED", 1), event("DELETED", 2));
        let pieces = [added[..5].to_owned(), format!("{}{deleted}", &added[5..])];
        // It does not end by itself, as a watch does not.
        let pieces = pieces.map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece)));
        let upstream = Body::from_stream(stream::iter(pieces).chain(stream::pending()));
        watches.hide("pods", "DELETED");
        let body = watches.pass("/api/v1/pods", upstream.into_data_stream());
        let mut heard = body.into_data_stream();
        assert_eq!(heard.next().await.unwrap().unwrap(), added.as_bytes());
        assert_eq!(watches.replay("pods"), 1);
        assert!(watches.replay_first("pods", "a") && !watches.replay_first("pods", "b"));
        assert_eq!(heard.next().await.unwrap().unwrap(), added.as_bytes());
        assert_eq!(heard.next().await.unwrap().unwrap(), added.as_bytes());
        watches.gone();
        let gone: Value = serde_json::from_slice(&heard.next().await.unwrap().unwrap()).unwrap();
        assert_eq!(gone["object"]["code"], 410);
        assert!(heard.next().await.is_none());
    }
}
