//! `kubectl docmill dead-letters`: `docmill dead-letters` against the pipeline's API, with the pipeline's key.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use docmill_operator::names;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use tokio::process::Command;

use super::port_forward::PortForward;
use crate::args::{DeadLetters, Letters};
use crate::cluster::Cluster;
use crate::failure::{ERROR, Failure};

/// The variable of the key. It is never given on a command line, which other users can read.
const KEY_VARIABLE: &str = "DOCMILL_API_KEY";
/// The program that asks the API.
const DOCMILL: &str = "docmill";
/// Hosts that no proxy is asked for.
const NO_PROXY: &str = "NO_PROXY";

/// Does it.
pub async fn execute(cluster: &Cluster, action: &DeadLetters, json: bool) -> Result<ExitCode, Failure> {
    let (DeadLetters::List { pipeline }
    | DeadLetters::Show { pipeline, .. }
    | DeadLetters::Replay { pipeline, .. }) = action;
    cluster.pipeline(pipeline).await?;
    let key = match std::env::var(KEY_VARIABLE).ok().filter(|key| !key.trim().is_empty()) {
        Some(key) => key,
        None => key(cluster, pipeline).await?,
    };
    let way = PortForward::open(cluster, pipeline).await?;
    let program = program();
    let no_proxy = std::env::var(NO_PROXY).map_or_else(|_| String::new(), |hosts| format!("{hosts},"));
    let ended = Command::new(&program)
        .args(arguments(action, json))
        .env("DOCMILL_SERVER", &way.url)
        .env(KEY_VARIABLE, key)
        .env(NO_PROXY, format!("{no_proxy}127.0.0.1"))
        // It would count more than the variable.
        .env_remove("DOCMILL_API_KEY_FILE")
        .kill_on_drop(true)
        .status()
        .await;
    let status = ended.map_err(|error| {
        let message = format!("{} cannot be started: {error}", program.display());
        Failure::new("docmill_missing", message, "put docmill beside kubectl-docmill or on the path")
    })?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(ERROR)))
}

/// The first key of the API, which the operator made.
async fn key(cluster: &Cluster, pipeline: &str) -> Result<String, Failure> {
    let name = names::api_key_secret(pipeline);
    let missing = |why: &str| {
        let message = format!("the key in Secret {name} cannot be read: {why}");
        Failure::new(
            "api_key_missing",
            message,
            "set DOCMILL_API_KEY, or ask for the right to read that Secret",
        )
    };
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let secret = match api.get(&name).await {
        Ok(secret) => secret,
        Err(kube::Error::Api(status)) => return Err(missing(&status.message)),
        Err(error) => return Err(error.into()),
    };
    let bytes = secret.data.and_then(|mut data| data.remove("key"));
    let text = bytes.and_then(|bytes| String::from_utf8(bytes.0).ok());
    text.filter(|key| !key.is_empty()).ok_or_else(|| missing("it has no entry `key`"))
}

/// The program beside this one, else the one on the path.
fn program() -> PathBuf {
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join(DOCMILL)));
    beside.filter(|program| program.is_file()).unwrap_or_else(|| PathBuf::from(DOCMILL))
}

/// What docmill is asked.
fn arguments(action: &DeadLetters, json: bool) -> Vec<OsString> {
    let mut all: Vec<&str> = vec!["dead-letters"];
    if json {
        all.insert(0, "--json");
    }
    match action {
        DeadLetters::List { .. } => all.push("list"),
        DeadLetters::Show { document, .. } => all.extend(["show", "--", document.as_str()]),
        DeadLetters::Replay { which: Letters { documents, code, all: every }, .. } => {
            all.push("replay");
            if let Some(code) = code {
                all.extend(["--code", code.as_str()]);
            }
            if *every {
                all.push("--all");
            }
            if !documents.is_empty() {
                all.push("--");
                all.extend(documents.iter().map(String::as_str));
            }
        }
    }
    all.into_iter().map(OsString::from).collect()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Args, Command as Said};

    fn asked(words: &[&str]) -> Vec<OsString> {
        let words = ["x", "dead-letters"].iter().chain(words).copied();
        let args = Args::try_parse_from(words).unwrap();
        let Said::DeadLetters { action } = args.command else { panic!("another command") };
        arguments(&action, args.global.json)
    }

    #[test]
    fn docmill_is_asked_the_same() {
        assert_eq!(asked(&["list", "knowbase", "--json"]), ["--json", "dead-letters", "list"]);
        assert_eq!(asked(&["show", "knowbase", "d1"]), ["dead-letters", "show", "--", "d1"]);
        let some = asked(&["replay", "knowbase", "d1", "d2"]);
        assert_eq!(some, ["dead-letters", "replay", "--", "d1", "d2"]);
        assert_eq!(asked(&["replay", "knowbase", "--all"]), ["dead-letters", "replay", "--all"]);
        let coded = asked(&["replay", "knowbase", "--code", "timeout"]);
        assert_eq!(coded, ["dead-letters", "replay", "--code", "timeout"]);
    }
}
