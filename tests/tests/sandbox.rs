//! What holds extractors: that it holds, that it is told where a piece lacks, and how the end of a child is told.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use docmill_core::failure::{Failure, FailureCode};
use docmill_core::id::TenantId;
use docmill_tests::command::locate;
use docmill_tests::corpus::{Writer, dense_pages, pdf};
use docmill_tests::services::worker::program;
use docmill_worker::extract::attempts::{Asked, Attempt, Targets, Unheld};
use docmill_worker::extract::{CHILD_COMMAND, Event, ExtractOptions, Input, Pool, SandboxMode, trials};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

const LANDLOCK: &[i64] =
    &[libc::SYS_landlock_create_ruleset, libc::SYS_landlock_add_rule, libc::SYS_landlock_restrict_self];

/// A kernel that answers these calls with an error, as older ones and containers do.
fn lacking(calls: &[i64], error: i32) -> BpfProgram {
    let rules: BTreeMap<i64, Vec<_>> = calls.iter().map(|call| (*call, Vec::new())).collect();
    let arch = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    let answer = SeccompAction::Errno(error as u32);
    SeccompFilter::new(rules, SeccompAction::Allow, answer, arch).unwrap().try_into().unwrap()
}

/// Runs a program on such a kernel.
fn on(kernel: Option<BpfProgram>, program: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(args).env_remove("DOCMILL_SANDBOX");
    if let Some(kernel) = kernel {
        // SAFETY: between fork and exec it makes two system calls, on a filter that is compiled already.
        unsafe {
            command.pre_exec(move || {
                seccompiler::apply_filter(&kernel).map_err(|_| std::io::Error::last_os_error())
            });
        }
    }
    command.output().unwrap()
}

fn parsed(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "{error}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

fn check_sandbox(kernel: Option<BpfProgram>, mode: &str) -> (Option<i32>, Value) {
    let output = on(kernel, &program(), &["check-sandbox", "--json", "--sandbox", mode]);
    (output.status.code(), parsed(&output))
}

#[tokio::test]
async fn no_attempt_comes_through_and_each_end_is_told() {
    let held = trials::held(&program()).await.unwrap();
    let wrong: Vec<_> = held.iter().filter(|trial| trial.escaped || !trial.reported).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(held.len() >= 25);
}

#[tokio::test]
async fn without_a_sandbox_the_same_attempts_come_through() {
    for trial in trials::unheld(&program()).await.unwrap() {
        assert_eq!(trial.escaped, trial.unheld == Unheld::Escapes, "{trial:?}");
    }
}

#[test]
fn a_whole_kernel_lacks_nothing() {
    let (code, told) = check_sandbox(None, "required");
    assert_eq!(told["report"]["missing"], json!([]));
    assert!(told["report"]["landlock_abi"].as_u64().unwrap() > 0);
    assert_eq!((code, &told["ok"]), (Some(0), &Value::Bool(true)));
    let output = on(None, &program(), &["check-sandbox", "--sandbox", "off"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("not asked for"), "{said}");
}

#[test]
fn what_a_kernel_lacks_is_named_and_may_be_done_without() {
    let cases = [
        (LANDLOCK, libc::ENOSYS, "landlock", "the kernel has none"),
        (LANDLOCK, libc::EOPNOTSUPP, "landlock", "the kernel was started without it"),
        (LANDLOCK, libc::EPERM, "landlock", "the container's seccomp profile forbids it"),
        // The version is told, and then nothing can be done with it.
        (&LANDLOCK[1..], libc::EPERM, "landlock", "it cannot be put up"),
        (&[libc::SYS_seccomp][..], libc::ENOSYS, "seccomp", "it cannot be put up"),
    ];
    for (calls, error, piece, why) in cases {
        let (code, told) = check_sandbox(Some(lacking(calls, error)), "required");
        let missing = told["report"]["missing"].as_array().unwrap();
        assert_eq!((code, missing.len()), (Some(1), 1), "{told}");
        assert_eq!(missing[0]["piece"], piece, "{told}");
        assert!(missing[0]["why"].as_str().unwrap().contains(why), "{told}");
        let (code, told) = check_sandbox(Some(lacking(calls, error)), "bestEffort");
        assert_eq!((code, told["report"]["missing"].as_array().unwrap().len()), (Some(0), 1), "{told}");
    }
}

#[test]
fn an_older_kernel_closes_descriptors_another_way() {
    let (code, told) = check_sandbox(Some(lacking(&[libc::SYS_close_range], libc::ENOSYS)), "required");
    assert_eq!((code, &told["report"]["missing"]), (Some(0), &json!([])));
}

/// A folder with a page that only a child reads, and room for data.
fn folder() -> (TempDir, PathBuf, PathBuf) {
    let folder = tempdir().unwrap();
    let documents = folder.path().join("documents");
    std::fs::create_dir(&documents).unwrap();
    std::fs::write(
        documents.join("page.html"),
        "<html><body><p>A page with words on it.</p></body></html>",
    )
    .unwrap();
    let data = folder.path().join("data");
    (folder, documents, data)
}

#[test]
fn a_run_refuses_before_it_begins_and_goes_on_where_it_is_told_to() {
    let (_folder, documents, data) = folder();
    let docmill = locate(None).unwrap();
    let run = |mode: Option<&str>| {
        let mut args =
            vec!["--data-dir", data.to_str().unwrap(), "--json", "run", documents.to_str().unwrap()];
        args.extend(["--embeddings", "none"]);
        args.extend(mode.into_iter().flat_map(|mode| ["--sandbox", mode]));
        on(Some(lacking(LANDLOCK, libc::ENOSYS)), &docmill, &args)
    };
    let refused = run(None);
    let error = parsed(&refused)["error"].clone();
    assert_eq!(
        (refused.status.code(), error["code"].as_str()),
        (Some(1), Some("sandbox_missing")),
        "{error}"
    );
    assert!(error["message"].as_str().unwrap().contains("landlock (the kernel has none)"), "{error}");
    assert!(error["advice"].as_str().unwrap().contains("--sandbox best-effort"), "{error}");
    assert!(!data.exists(), "nothing was begun");

    let report = parsed(&run(Some("best-effort")));
    assert_eq!(report["succeeded"], 1, "{report}");
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("the sandbox of extractors lacks landlock"), "{report}");
    std::fs::write(documents.join("next.html"), "<html><body><p>Another page.</p></body></html>").unwrap();
    let report = parsed(&run(Some("off")));
    assert_eq!((&report["succeeded"], &report["warnings"]), (&json!(1), &json!([])), "{report}");
}

#[test]
fn only_docmill_starts_extractors() {
    let output = on(None, &program(), &[CHILD_COMMAND]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("only docmill starts extractors"));
    // Its parent is another process than it says.
    let told = r#"{"parent":1,"mode":"required","memory_mib":2048}"#;
    let output = on(None, &program(), &[CHILD_COMMAND, told]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("the process that started it is gone"));
}

/// What becomes of a PDF of three pages whose child tries this before the third is sent.
async fn tried(attempt: Attempt, mode: SandboxMode) -> (Vec<u32>, Result<(), Failure>) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("three.pdf");
    std::fs::write(&path, pdf(&dense_pages(&mut Writer::new(1), 3, None, None))).unwrap();
    let targets = Targets {
        folder: folder.path().to_owned(),
        secret: path.clone(),
        token: path.clone(),
        tcp: 1,
        udp: 1,
        abstract_name: String::new(),
        parent: std::process::id(),
        group: 0,
        victim: std::process::id(),
        memory: (0, 0),
        descriptor: 0,
    };
    let asked = Asked { attempt, page: 3, targets };
    let input = Input { name: asked.as_name(), ..Input::new(&path) };
    let options = ExtractOptions { sandbox: mode, ..ExtractOptions::default() };
    let pool = Pool::new(program(), 1, options);
    let (sink, mut events) = tokio::sync::mpsc::channel(8);
    let collect = async {
        let mut pages = Vec::new();
        while let Some(event) = events.recv().await {
            if let Event::Page(page) = event {
                pages.push(page.number);
            }
        }
        pages
    };
    let tenant = TenantId::default();
    let (outcome, pages) = tokio::join!(pool.extract(&tenant, input, sink), collect);
    (pages, outcome)
}

#[tokio::test]
async fn the_end_of_a_child_is_told_with_cause_page_and_last_words() {
    let (pages, outcome) = tried(Attempt::Execute, SandboxMode::Required).await;
    let failure = outcome.unwrap_err();
    assert_eq!((failure.code, failure.page), (FailureCode::SandboxViolation, Some(3)));
    assert_eq!(pages, [1, 2], "the pages before it were sent");
    assert!(failure.detail.contains("SIGSYS"), "{failure}");
    assert!(failure.stderr.unwrap().contains("tries to start a program"));

    let (pages, outcome) = tried(Attempt::WriteFile, SandboxMode::Off).await;
    let failure = outcome.unwrap_err();
    assert_eq!((failure.code, failure.page), (FailureCode::LimitOutput, Some(3)));
    assert!(failure.detail.contains("SIGXFSZ"), "{failure}");
    assert_eq!(pages, [1, 2]);
}

#[tokio::test]
async fn what_is_refused_and_not_fatal_costs_the_document_nothing() {
    let (pages, outcome) = tried(Attempt::ListRoot, SandboxMode::Required).await;
    outcome.unwrap();
    assert_eq!(pages, [1, 2, 3]);
}

/// The child itself refuses, whatever its parent made of what it said. A filter is a thread's, and that of the pool which
/// starts children has it from here.
#[test]
fn a_child_that_is_not_held_reads_nothing() {
    let on_such_a_kernel = || {
        seccompiler::apply_filter(&lacking(LANDLOCK, libc::ENOSYS)).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(tried(Attempt::ListRoot, SandboxMode::Required))
    };
    let (pages, outcome) = std::thread::spawn(on_such_a_kernel).join().unwrap();
    let failure = outcome.unwrap_err();
    assert_eq!((failure.code, pages), (FailureCode::SandboxMissing, Vec::new()));
    assert!(failure.detail.contains("landlock (the kernel has none)"), "{failure}");
}
