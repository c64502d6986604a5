//! `docmill search QUERY` at a server: a page after the other, until there are as many hits as were asked for.

use std::process::ExitCode;

use docmill_core::search::SearchAnswer;

use super::Remote;
use super::client::Again;
use super::wire;
use crate::answers;
use crate::args;
use crate::failure::Failure;
use crate::output;

/// Hits of one page of the API.
const PAGE_MAX: u16 = 100;

pub async fn execute(remote: &Remote, asked: &args::Search) -> Result<ExitCode, Failure> {
    // Pages of one order are asked for with the same number.
    let page = asked.k.min(PAGE_MAX);
    let mut found = ask(remote, asked, page, None).await?;
    while found.results.len() < usize::from(asked.k)
        && let Some(cursor) = found.next.take()
    {
        let more = ask(remote, asked, page, Some(&cursor)).await?;
        if more.results.is_empty() {
            break;
        }
        found.results.extend(more.results);
        found.next = more.next;
    }
    found.results.truncate(asked.k.into());
    if remote.json {
        output::json(&found)?;
    } else {
        answers::hits(&found);
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask(
    remote: &Remote,
    asked: &args::Search,
    k: u16,
    cursor: Option<&str>,
) -> Result<SearchAnswer, Failure> {
    let answer = remote.client.post(&["v1", "search"], &asked.body(k, cursor), Again::Always).await?;
    Ok(wire::read(&answer)?)
}
