//! `docmill verify`: the audit of a server's ledger against its stores.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use docmill_worker::verify::Findings;
use reqwest::{Method, Response};
use serde_json::Value;

use super::Remote;
use super::client::Again;
use super::error::Error;
use super::wire;
use crate::failure::{FOUND_SOMETHING, Failure};
use crate::{findings, output};

/// How long it is waited for a clean audit where nothing is said, in seconds.
pub const WAIT_S: u64 = 300;
/// Time between two audits.
const AGAIN_EVERY: Duration = Duration::from_secs(2);
/// Longest silence of an audit that goes on: it says so every other second.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Longest line, in bytes.
const LINE_BYTES_MAX: usize = 1 << 20;

pub async fn execute(
    remote: &Remote,
    repair: bool,
    wait: bool,
    timeout: Option<u64>,
) -> Result<ExitCode, Failure> {
    let until = Instant::now() + Duration::from_secs(timeout.unwrap_or(WAIT_S));
    // Once: what is done again is settled by workers, and found by the audits after it.
    let (mut repair, mut repaired) = (repair, Value::Null);
    let (mut answer, found) = loop {
        let mut line = audit(remote, repair).await?;
        let answer = line["findings"].take();
        let found: Findings = wire::read(&answer)?;
        if std::mem::take(&mut repair) {
            repaired = line["repaired"].take();
            if !remote.json {
                print_repair(&found, &repaired);
            }
        }
        let settled = found.is_clean() && found.cleanup_pending == 0;
        if !wait || settled || Instant::now() >= until {
            break (answer, found);
        }
        tokio::time::sleep(AGAIN_EVERY).await;
    };
    if remote.json {
        if !repaired.is_null() {
            answer["repaired"] = repaired;
        }
        output::json(&answer)?;
    } else {
        let pending = found.cleanup_pending;
        let note = format!("{pending} removals are not due yet; --wait waits for them");
        findings::print(&found, (pending > 0).then_some(note));
    }
    let good = found.is_clean() && (!wait || found.cleanup_pending == 0);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::from(FOUND_SOMETHING) })
}

fn print_repair(found: &Findings, repaired: &Value) {
    let of = |name: &str| repaired[name].as_u64().unwrap_or(0);
    match found.is_clean() {
        true => println!("nothing is wrong, so nothing was repaired"),
        false => println!(
            "repaired: {} documents are done again, {} rows and {} loose ends removed; verify again",
            of("requeued"),
            of("removed"),
            of("looseEnds")
        ),
    }
}

/// One audit, to its end; gives its last line.
async fn audit(remote: &Remote, repair: bool) -> Result<Value, Failure> {
    let query: &[(&str, &str)] = if repair { &[("repair", "true")] } else { &[] };
    let request = async || remote.client.request(Method::POST, &["v1", "audits"], query);
    let mut response = remote.client.send(Again::Always, request).await?;
    let last = last_line(&mut response).await?;
    let line: Value = serde_json::from_slice(&last).map_err(|error| Error::foreign(&error.to_string()))?;
    if line["findings"].is_object() {
        return Ok(line);
    }
    let said = |field: &str| line["problem"][field].as_str().map(str::to_owned);
    match (said("code"), said("detail")) {
        (Some(code), Some(detail)) => Err(Failure::of_server(&code, detail, "run it again")),
        _ => Err(Error::Broken("the audit ended without its findings".to_owned()).into()),
    }
}

/// The last whole line of an answer that comes line by line.
async fn last_line(response: &mut Response) -> Result<Vec<u8>, Error> {
    let (mut line, mut last) = (Vec::new(), Vec::new());
    loop {
        let read = tokio::time::timeout(SILENCE_MAX, response.chunk()).await;
        let read = read.map_err(|_| Error::Broken("the audit says nothing any more".to_owned()))?;
        let Some(bytes) = read.map_err(|error| Error::of_client(&error))? else { return Ok(last) };
        for byte in bytes {
            match byte {
                b'\n' => last = std::mem::take(&mut line),
                byte => line.push(byte),
            }
        }
        if line.len() > LINE_BYTES_MAX {
            return Err(Error::foreign("a line is too long"));
        }
    }
}
