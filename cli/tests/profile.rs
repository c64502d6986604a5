//! `docmill profile` as people use it, with the names that their scripts ask the timeline for.
#![allow(clippy::unwrap_used)]

use std::process::Command;

use serde_json::Value;

fn profile(dir: &tempfile::TempDir, args: &[&str]) -> (Value, i32) {
    let output = dir.path().join("timeline.json");
    let status = Command::new(env!("CARGO_BIN_EXE_docmill"))
        .args(["profile", "--interval", "0.1", "--output"])
        .arg(&output)
        .args(args)
        .status()
        .unwrap();
    (serde_json::from_slice(&std::fs::read(output).unwrap()).unwrap(), status.code().unwrap())
}

#[test]
fn a_command_is_followed_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let (timeline, code) = profile(&dir, &["--", "sleep", "0.5"]);
    assert_eq!(
        (code, timeline["exit_code"].as_i64(), timeline["command"].as_str()),
        (0, Some(0), Some("sleep 0.5"))
    );
    let points = timeline["data_points"].as_array().unwrap();
    assert!(points.len() >= 2, "{timeline:#}");
    let first = &points[0];
    for path in [
        "/elapsed_seconds",
        "/system/cpu_percent",
        "/system/memory_used_gb",
        "/system/disk/read_mb_per_s",
        "/system/network/sent_mb_per_s",
        "/system/load/0",
        "/processes/cpu",
        "/processes/memory",
        "/processes/total_threads",
        "/processes/open_files",
    ] {
        assert!(first.pointer(path).is_some_and(Value::is_number), "{path} in {first:#}");
    }
    assert_eq!(first["processes"]["each"][0]["name"], "sleep");
    let svg = std::fs::read_to_string(dir.path().join("timeline.svg")).unwrap();
    assert!(svg.starts_with("<svg") && svg.contains("polyline"));
}

#[test]
fn a_command_that_goes_on_is_asked_to_end() {
    let dir = tempfile::tempdir().unwrap();
    let (timeline, code) = profile(&dir, &["--duration", "0.3", "--command", "exec sleep 600"]);
    assert_eq!((code, timeline["exit_code"].is_null()), (130, true));
    assert!(timeline["duration_seconds"].as_f64().unwrap() < 10.0, "{timeline:#}");
}

#[test]
fn the_exit_code_is_that_of_the_command() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(profile(&dir, &["--command", "exit 7"]).1, 7);
}
