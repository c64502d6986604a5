//! What the command says of itself and of mistakes, word by word. After a change that is meant:
//! `cargo insta accept`, or `INSTA_UPDATE=always cargo test -p docmill --test help`.
#![allow(clippy::unwrap_used)]

use std::process::Command;

/// Exit code, standard output and standard error.
fn said(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_docmill"))
        .args(args)
        // What a person's environment sets is not shown, and their directories are not looked at.
        .env_clear()
        .env("HOME", "/nonexistent")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    format!(
        "exit code {}\n--- output\n{}--- error\n{}",
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr)
    )
}

macro_rules! shows {
    ($($name:ident: $($arg:literal)*;)+) => {
        $(#[test]
        fn $name() {
            insta::assert_snapshot!(said(&[$($arg),*]));
        })+
    };
}

shows! {
    help: "--help";
    help_run: "run" "--help";
    help_submit: "submit" "--help";
    help_status: "status" "--help";
    help_wait: "wait" "--help";
    help_cancel: "cancel" "--help";
    help_results: "results" "--help";
    help_rebuild: "rebuild" "--help";
    help_search: "search" "--help";
    help_serve: "serve" "--help";
    help_ask: "ask" "--help";
    help_concept: "concept" "--help";
    help_bench_ask: "bench" "ask" "--help";
    help_bench_search: "bench" "search" "--help";
    help_profile: "profile" "--help";
    help_documents: "documents" "--help";
    help_dead_letters: "dead-letters" "--help";
    help_dead_letters_replay: "dead-letters" "replay" "--help";
    help_export: "export" "--help";
    help_verify: "verify" "--help";
    help_reindex: "reindex" "--help";
    mistake_unknown_command: "ingest";
    mistake_no_path: "run";
    mistake_server_and_data: "status" "--server" "http://localhost:1" "--data-dir" "/x";
    mistake_server_not_named: "submit" ".";
    mistake_server_for_run: "run" "." "--server" "http://localhost:1";
    mistake_serve_at_a_server: "serve" "--server" "http://localhost:1";
    mistake_search_time: "search" "x" "--from" "yesterday";
    mistake_steps_without_path: "concept" "x" "--steps" "2";
    mistake_profile_of_nothing: "profile";
    mistake_bench_of_nothing: "bench" "ask";
    mistake_server_address: "status" "--server" "localhost:8080";
    mistake_tenant_of_a_server: "status" "--server" "http://localhost:1" "--tenant" "t";
    mistake_workers: "run" "-w" "0" ".";
    mistake_sync: "run" "--sync=maybe" ".";
    mistake_replay_of_nothing: "dead-letters" "replay";
    mistake_state: "documents" "--state" "lost";
    mistake_log_filter: "--log" "docmill=loud" "status";
    mistake_no_data: "status";
    mistake_no_data_as_json: "--json" "status";
    mistake_no_such_path: "--data-dir" "/nonexistent/data" "run" "/nonexistent/documents";
    mistake_metrics_path: "--data-dir" "/nonexistent/data" "run" "." "--metrics" "/nonexistent/metrics";
}
