//! The graph's server has a new, empty volume, and is filled again from what is kept.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use tokio::task::{block_in_place, spawn_blocking};

use super::House;
use crate::command::locate;

/// Wiped while documents come in; then the command of the runbook, and waiting until it is done.
pub async fn wiped(house: &House) -> Result<()> {
    block_in_place(|| house.neo4j.wipe());
    // Who writes meets the empty server before anybody has said so.
    house.flows().await?;
    let mut command = Command::new(locate(None)?);
    command.args(["--json", "rebuild", "--store", "graph", "--wait", "--timeout", "120"]);
    command.env_clear().env("HOME", house.home()).env("DOCMILL_API_KEY", &house.key);
    command.env("DOCMILL_SERVER", format!("http://127.0.0.1:{}", house.api.client(None).port));
    command.stdin(Stdio::null());
    let output = spawn_blocking(move || command.output()).await?.context("docmill rebuild")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "docmill rebuild: {said}{}", String::from_utf8_lossy(&output.stderr));
    let told: serde_json::Value = serde_json::from_str(&said)?;
    let store = &told["stores"][0];
    ensure!(store["state"] == "filled" && store["again"].as_u64() > Some(0), "{told}");
    Ok(())
}
