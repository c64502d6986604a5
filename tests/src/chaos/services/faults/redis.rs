//! What may happen to the queue's server and its file.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::task::block_in_place;

use super::super::judge::Verdict;
use super::House;
use crate::services::process::wait_until;
use crate::services::redis::{
    ADMIN, ADMIN_PASSWORD, DEFAULT_USER, DEFAULT_USER_TRAP, RedisServer, Sentinel, Setup,
};

/// Commands at the end of the file that power takes with it.
const COMMANDS_LOST: usize = 10;
/// Bytes of the command that is there in part.
const BYTES_LEFT: usize = 7;
/// Sentinels; most of them must agree.
const SENTINELS: usize = 3;
const QUORUM: usize = 2;
/// How long the replica hears nothing before its master dies: less than until sentinels give it up.
const REPLICA_LAGS: Duration = Duration::from_millis(400);

/// As for another version.
pub fn restarted(house: &House) {
    block_in_place(|| {
        house.redis.stop();
        house.redis.start_again();
    });
}

/// kill -9, and what was not on disk is gone: the file ends within a command.
pub fn power_lost(house: &House) -> Result<()> {
    block_in_place(|| {
        house.redis.kill();
        let file = house.redis.append_only_file();
        let bytes = fs::read(&file)?;
        let begins = beginnings(&bytes);
        let at = begins.len().checked_sub(COMMANDS_LOST).and_then(|at| begins.get(at));
        let cut = at.context("a file of some commands")? + BYTES_LEFT;
        fs::File::options().write(true).open(&file)?.set_len(cut as u64)?;
        house.redis.start_again();
        Ok(())
    })
}

/// A damage in the middle keeps it from starting, until everything behind it is cut off.
pub fn file_damaged(house: &House) -> Result<()> {
    block_in_place(|| {
        house.redis.kill();
        let file = house.redis.append_only_file();
        let mut bytes = fs::read(&file)?;
        let begins = beginnings(&bytes);
        let at = begins.len().checked_sub(COMMANDS_LOST).and_then(|at| begins.get(at));
        bytes[*at.context("a file of some commands")?] = b'?';
        fs::write(&file, bytes)?;
        let said = house.redis.try_start_again().err().context("a damaged file was accepted")?;
        ensure!(said.contains("Bad file format"), "it ended for another reason: {said}");
        mend(&file)?;
        house.redis.start_again();
        Ok(())
    })
}

/// Where commands begin. Values hold no line that begins with a star: they are ids, numbers and names.
fn beginnings(bytes: &[u8]) -> Vec<usize> {
    let at = bytes.windows(3).enumerate().filter(|(_, window)| *window == b"\r\n*");
    at.map(|(at, _)| at + 2).collect()
}

/// As the runbook says.
fn mend(file: &Path) -> Result<()> {
    let mut command = Command::new("redis-check-aof");
    command.arg("--fix").arg(file).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("redis-check-aof; `cargo xtask setup` installs it")?;
    child.stdin.take().context("its input is ours")?.write_all(b"y\n")?;
    let output = child.wait_with_output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && said.contains("uccessfully truncated"), "redis-check-aof: {said}");
    Ok(())
}

/// The user `default` has no rights, so that whole blocks of what is replayed are dropped in silence.
pub async fn acl_trap(house: &House) -> Result<()> {
    block_in_place(|| house.redis.set_default_user(DEFAULT_USER_TRAP));
    house.flows().await?;
    block_in_place(|| {
        house.redis.kill();
        house.redis.start_again();
    });
    house.flows().await?;
    // With rights again, the next start brings back what was dropped, and some of it the group went past.
    block_in_place(|| {
        house.redis.set_default_user(DEFAULT_USER);
        house.redis.kill();
        house.redis.start_again();
    });
    house.flows().await
}

/// The queue moves to a master with a replica; the master dies while that one lags.
pub async fn failed_over(house: &House) -> Result<(Verdict, usize)> {
    let tcp = Setup { tcp: true, ..Setup::default() };
    let login = format!("masteruser {ADMIN}\nmasterauth {ADMIN_PASSWORD}\nrepl-diskless-sync-delay 0\n");
    let (master, replica, sentinels) = block_in_place(|| {
        let master = RedisServer::start(&Setup { config: login.clone(), ..tcp.clone() });
        let follow = format!("replicaof 127.0.0.1 {}\n{login}", master.port);
        let replica = Arc::new(RedisServer::start(&Setup { config: follow, ..tcp }));
        let sentinels: Vec<Sentinel> = (0..SENTINELS).map(|_| Sentinel::of(&master, 1, QUORUM)).collect();
        for sentinel in &sentinels {
            wait_until("sentinels that know each other", || sentinel.others() == SENTINELS - 1);
        }
        (master, replica, sentinels)
    });
    let hosts: Vec<String> =
        sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port)).collect();
    let url = format!("redis-sentinel://{}/main", hosts.join(","));
    house.move_queue(&url, replica.clone()).await?;
    house.uploader.go();
    house.flows().await?;
    replica.pause();
    tokio::time::sleep(REPLICA_LAGS).await;
    block_in_place(|| master.kill());
    replica.resume();
    block_in_place(|| {
        for sentinel in &sentinels {
            wait_until("the new master", || sentinel.master_port() == replica.port);
        }
    });
    house.flows().await?;
    let counted = house.settle().await?;
    house.move_queue(house.queue_url(), house.redis.clone()).await?;
    Ok(counted)
}
