//! `docmill ask QUESTION` at a server: the answer as it is written. Where the connection breaks, it goes on after what
//! was read.

use std::process::ExitCode;
use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::Remote;
use super::client::Again;
use super::error::Error;
use super::events::{Event, Parser};
use crate::args;
use crate::asking::Telling;
use crate::failure::Failure;

/// Longest silence: the server says something at least every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// How often a broken answer is gone on with.
const BREAKS_MAX: u32 = 3;

pub async fn execute(remote: &Remote, asked: &args::Ask) -> Result<ExitCode, Failure> {
    let mut telling = Telling::new(remote.json, !asked.no_stream);
    let mut parser = Parser::default();
    let mut response = begin(remote, asked).await?;
    let mut breaks = 0;
    loop {
        let ended = read(&mut response, &mut parser, &mut telling).await;
        let broke = match ended {
            Ok(answer) => return telling.end(&answer),
            Err(Ended::Said(failure)) => {
                telling.cut();
                return Err(failure);
            }
            Err(Ended::Broke(error)) => error,
        };
        breaks += 1;
        let Some(id) = parser.last_id().map(str::to_owned).filter(|_| breaks <= BREAKS_MAX) else {
            telling.cut();
            return Err(broke.into());
        };
        parser.broke();
        response = go_on(remote, &id).await?;
    }
}

/// Why an answer was not read to its end.
enum Ended {
    /// The server says so.
    Said(Failure),
    /// The connection.
    Broke(Error),
}

async fn begin(remote: &Remote, asked: &args::Ask) -> Result<Response, Error> {
    let mut body = json!({"question": asked.question, "k": asked.k});
    if let Some(filter) = asked.filters.body() {
        body["filter"] = filter;
    }
    let body = body.to_string();
    let client = &remote.client;
    client
        .send(Again::Always, async || {
            let request = client.request(Method::POST, &["v1", "ask", "stream"], &[])?;
            Ok(request.header("content-type", "application/json").body(body.clone()))
        })
        .await
}

/// The rest of an answer, after this event.
async fn go_on(remote: &Remote, last: &str) -> Result<Response, Error> {
    let run = last.rsplit_once('-').map_or(last, |(run, _)| run);
    let client = &remote.client;
    client
        .send(Again::Always, async || {
            Ok(client.request(Method::GET, &["v1", "ask", run], &[])?.header("last-event-id", last))
        })
        .await
}

async fn read(response: &mut Response, parser: &mut Parser, telling: &mut Telling) -> Result<Value, Ended> {
    loop {
        let piece = match tokio::time::timeout(SILENCE_MAX, response.chunk()).await {
            Ok(Ok(Some(piece))) => piece,
            Ok(Ok(None)) => {
                return Err(Ended::Broke(Error::Broken("the answer ended before its end".into())));
            }
            Ok(Err(error)) => return Err(Ended::Broke(Error::of_client(&error))),
            Err(_) => return Err(Ended::Broke(Error::Broken("the server says nothing any more".into()))),
        };
        let mut events: Vec<Event> = Vec::new();
        if parser.push(&piece, &mut |event| events.push(event)).is_err() {
            return Err(Ended::Said(Error::foreign("an event is too long").into()));
        }
        for event in events {
            if let Some(answer) = told(&event, telling).map_err(Ended::Said)? {
                return Ok(answer);
            }
        }
    }
}

/// Tells what happened; the whole answer where this is it.
fn told(event: &Event, telling: &mut Telling) -> Result<Option<Value>, Failure> {
    let data: Value =
        serde_json::from_str(&event.data).map_err(|error| Error::foreign(&error.to_string()))?;
    match event.name.as_str() {
        "message" => telling.message(data["delta"].as_str().unwrap_or_default()).map(|()| None),
        "final_answer" => Ok(Some(data)),
        "error" => Err(Failure::of_problem(&data)),
        _ => Ok(None),
    }
}
