//! `docmill profile`: a timeline of what the machine and processes use, while a command runs or for a time.

use std::io::Write;
use std::path::Path;
use std::process::{ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use docmill_worker::whole_file;
use tokio::process::{Child, Command};
use tokio::time::MissedTickBehavior;

use crate::args;
use crate::failure::Failure;
use crate::output;
use crate::profile::{self, Counters, Point, Timeline};

/// How long a command may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(10);
/// Most points of a timeline.
const POINTS_MAX: usize = 1_000_000;

pub async fn execute(asked: args::Profile, json: bool) -> Result<ExitCode, Failure> {
    let mut child = start(&asked)?;
    if child.is_none() && asked.duration.is_none() {
        let message = "there is no COMMAND and no --duration: it would have no end";
        return Err(Failure::new("no_process", message, "give --duration S, or -- COMMAND"));
    }
    let mut pids = asked.pids.clone();
    pids.extend(child.as_ref().and_then(Child::id));
    let follows = !pids.is_empty() || !asked.names.is_empty();
    let first = look(&pids, &asked.names).await?;
    if follows && child.is_none() && first.processes.is_empty() {
        let message = "no process has one of these numbers or names";
        return Err(Failure::new("no_process", message, "look at --pid and --name"));
    }
    let began = Instant::now();
    let (points, status) = record(&asked, &mut child, &pids, first).await?;
    let timeline = Timeline {
        command: shown(&asked),
        exit_code: status.and_then(|status| status.code()),
        duration_seconds: began.elapsed().as_secs_f64(),
        interval_seconds: asked.interval,
        cpu_count: std::thread::available_parallelism().map_or(1, usize::from),
        data_points: points,
    };
    let text =
        serde_json::to_vec_pretty(&timeline).map_err(|error| Failure::internal(error.to_string()))?;
    write(&asked.output, &text)?;
    let svg = asked.svg.clone().unwrap_or_else(|| asked.output.with_extension("svg"));
    write(&svg, profile::svg(&timeline.data_points).as_bytes())?;
    if json {
        output::json(&timeline)?;
    } else {
        print!("{}", profile::blocks(&timeline.data_points));
        println!("{} and {}", asked.output.display(), svg.display());
    }
    // As the command ended, so does this, as `time` does.
    let code = status.map_or(0, |status| status.code().unwrap_or(i32::from(crate::failure::INTERRUPTED)));
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(crate::failure::ERROR)))
}

/// Looks again and again, until the command has ended, the time is over, or it is interrupted.
async fn record(
    asked: &args::Profile,
    child: &mut Option<Child>,
    pids: &[u32],
    first: Counters,
) -> Result<(Vec<Point>, Option<ExitStatus>), Failure> {
    let ticks_per_s = rustix::param::clock_ticks_per_second() as f64;
    let began = first.at;
    let mut before = first;
    let mut points = Vec::new();
    let mut interval = tokio::time::interval(Duration::from_secs_f64(asked.interval));
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval.tick().await;
    let stop = crate::signals::stop_saying("ending: what was seen is written");
    let mut ending = Box::pin(over(asked.duration, stop));
    let mut status = None;
    let mut ends = false;
    while !ends && points.len() < POINTS_MAX {
        tokio::select! {
            ended = ended(child) => {
                status = Some(ended?);
                ends = true;
            }
            () = &mut ending => ends = true,
            _ = interval.tick() => {}
        }
        let now = look(pids, &asked.names).await?;
        let elapsed = now.at.duration_since(began).as_secs_f64();
        points.push(Point::between(&before, &now, elapsed, ticks_per_s));
        before = now;
    }
    if status.is_none()
        && let Some(child) = child
    {
        status = Some(end(child).await?);
    }
    Ok((points, status))
}

/// The end of the time, or an interruption.
async fn over(duration: Option<f64>, mut stop: tokio::sync::watch::Receiver<bool>) {
    let time = async {
        match duration {
            Some(seconds) => tokio::time::sleep(Duration::from_secs_f64(seconds)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = time => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}

/// The end of the command; never, where there is none.
async fn ended(child: &mut Option<Child>) -> Result<ExitStatus, Failure> {
    match child {
        Some(child) => Ok(child.wait().await?),
        None => std::future::pending().await,
    }
}

/// Asks the command to end, and ends it where it does not.
async fn end(child: &mut Child) -> Result<ExitStatus, Failure> {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended by now.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    if let Ok(status) = tokio::time::timeout(GRACE, child.wait()).await {
        return Ok(status?);
    }
    child.start_kill()?;
    Ok(child.wait().await?)
}

fn start(asked: &args::Profile) -> Result<Option<Child>, Failure> {
    let mut command = match (&asked.line, asked.command.split_first()) {
        (Some(line), _) => {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(line);
            shell
        }
        (None, Some((program, arguments))) => {
            let mut command = Command::new(program);
            command.args(arguments);
            command
        }
        (None, None) => return Ok(None),
    };
    let started = command.kill_on_drop(true).spawn();
    started.map(Some).map_err(|error| {
        let message = format!("{} cannot be started: {error}", shown(asked).unwrap_or_default());
        Failure::new("command_failed", message, "check its name and its path")
    })
}

fn shown(asked: &args::Profile) -> Option<String> {
    let words: Vec<_> = asked.command.iter().map(|word| word.to_string_lossy()).collect();
    asked.line.clone().or_else(|| (!words.is_empty()).then(|| words.join(" ")))
}

/// Looks on a thread that may wait: there may be thousands of processes.
async fn look(pids: &[u32], names: &[String]) -> Result<Counters, Failure> {
    let (pids, names) = (pids.to_vec(), names.to_vec());
    let looked = tokio::task::spawn_blocking(move || profile::look(&pids, &names)).await;
    looked.map_err(|error| Failure::internal(error.to_string()))
}

fn write(path: &Path, text: &[u8]) -> Result<(), Failure> {
    whole_file::write(path, |file| Ok(file.write_all(text)?))
}
