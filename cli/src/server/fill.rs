//! `docmill rebuild --store STORE`: has a server write again what a store lost, and waits for it.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::Remote;
use super::client::Again;
use super::error::Error;
use super::going::until_done;
use super::progress::of_fill;
use super::wire::{self, Fill};
use crate::args::Rebuild;
use crate::failure::{Failure, INTERRUPTED};
use crate::output;

pub async fn execute(remote: &Remote, store: &str, asked: &Rebuild) -> Result<ExitCode, Failure> {
    let path = ["v1", "indexes", "stores"];
    let mut answer = remote.client.post(&path, &json!({ "store": store }), Again::Always).await?;
    let mut code = ExitCode::SUCCESS;
    if asked.wait {
        let going = |answer: &Value| {
            let fill = of_store(answer, store)?;
            Ok((fill.state != "filled").then(|| of_fill(&fill)))
        };
        match until_done(remote, &path, asked.timeout, "filled", going).await? {
            Some(last) => answer = last,
            None => code = ExitCode::from(INTERRUPTED),
        }
    }
    if remote.json {
        output::json(&answer)?;
        return Ok(code);
    }
    let fill = of_store(&answer, store)?;
    if fill.state == "filled" {
        println!("the {store} store has all rows; {} documents were done again", fill.again);
        if fill.given_up > 0 {
            println!("{} dead letters lack rows there; see docmill dead-letters", fill.given_up);
        }
    } else {
        println!("{}", of_fill(&fill).text);
        println!("the same command with --wait waits for it");
    }
    Ok(code)
}

fn of_store(answer: &Value, store: &str) -> Result<Fill, Failure> {
    let fills: Vec<Fill> = wire::read(&answer["stores"])?;
    let fill = fills.into_iter().find(|fill| fill.store == store);
    Ok(fill.ok_or_else(|| Error::foreign("it does not name the store"))?)
}
