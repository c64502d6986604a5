//! `docmill rebuild`: another index at a server, and waiting until searches read it.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::Remote;
use super::client::Again;
use super::going::until_done;
use super::progress::of_index;
use super::wire::{self, Index};
use crate::args::Rebuild;
use crate::failure::{Failure, INTERRUPTED};
use crate::output;

pub async fn execute(remote: &Remote, asked: Rebuild) -> Result<ExitCode, Failure> {
    let body = json!({ "embeddings": asked.embeddings, "concepts": asked.concepts });
    let path = ["v1", "indexes"];
    let mut answer = remote.client.post(&path, &body, Again::Always).await?;
    let began = building(&answer)?;
    let mut code = ExitCode::SUCCESS;
    if let (Some(_), true) = (&began, asked.wait) {
        let going = |answer: &Value| {
            let indexes: Vec<Index> = wire::read(&answer["indexes"])?;
            Ok(building(answer)?.map(|_| of_index(&indexes)))
        };
        match until_done(remote, &path, asked.timeout, "built", going).await? {
            Some(last) => answer = last,
            None => code = ExitCode::from(INTERRUPTED),
        }
    }
    if remote.json {
        output::json(&answer)?;
        return Ok(code);
    }
    match (began, building(&answer)?) {
        (None, _) => println!("the index is made so already, or is the one that is being built"),
        (Some(index), None) => {
            println!("searches read embeddings {} and concepts {} now", index.embeddings, index.concepts);
        }
        (Some(index), Some(_)) => {
            println!("being built: embeddings {} and concepts {}", index.embeddings, index.concepts);
            println!("the same command with --wait waits for it");
        }
    }
    Ok(code)
}

/// The index that is being built.
fn building(answer: &Value) -> Result<Option<Index>, Failure> {
    let indexes: Vec<Index> = wire::read(&answer["indexes"])?;
    Ok(indexes.into_iter().find(|index| index.state == "building"))
}
