//! `check-sandbox`: what holds extractors where this runs, by starting one. What of it there is depends on the kernel, on
//! the container and on the user, so it is asked in the place that matters.

use std::process::ExitCode;

use docmill_worker::error_codes::{EXTRACTOR_FAILED, INTERNAL};
use docmill_worker::extract::{ExtractOptions, Piece, Pool, SandboxMode, SandboxReport};

use crate::args::CheckSandbox;
use crate::output::{PROBLEMS, failed, one_line, table};

/// What was found.
struct Checked {
    report: SandboxReport,
    #[cfg(feature = "testing")]
    attempts: Vec<docmill_worker::extract::trials::Trial>,
}

/// Checks and tells; 0: all that is asked for is there, 1: a piece lacks.
pub fn run(options: &CheckSandbox) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(options.json, INTERNAL, &error.to_string(), "run again"),
    };
    match runtime.block_on(Box::pin(check(options))) {
        Ok(checked) => tell(options, &checked),
        Err(message) => {
            failed(options.json, EXTRACTOR_FAILED, &message, "check the program's file and its limits")
        }
    }
}

async fn check(options: &CheckSandbox) -> Result<Checked, String> {
    let binary = std::env::current_exe().map_err(|error| error.to_string())?;
    let asked = ExtractOptions { sandbox: options.mode(), ..ExtractOptions::default() };
    let report = Pool::new(binary.clone(), 1, asked).sandbox().await?;
    Ok(Checked {
        report,
        #[cfg(feature = "testing")]
        attempts: match options.attempts {
            true => {
                docmill_worker::extract::trials::held(&binary).await.map_err(|error| error.to_string())?
            }
            false => Vec::new(),
        },
    })
}

fn tell(options: &CheckSandbox, checked: &Checked) -> ExitCode {
    let report = &checked.report;
    #[cfg(feature = "testing")]
    let held = checked.attempts.iter().all(|attempt| attempt.reported && !attempt.escaped);
    #[cfg(not(feature = "testing"))]
    let held = true;
    let ok = held && report.judge(options.mode()).is_ok();
    let user = rustix::process::geteuid().as_raw();
    if options.json {
        #[cfg(feature = "testing")]
        let attempts = serde_json::json!(checked.attempts);
        #[cfg(not(feature = "testing"))]
        let attempts = serde_json::Value::Null;
        println!("{}", serde_json::json!({"ok": ok, "user": user, "report": report, "attempts": attempts}));
    } else {
        println!("{}", table(["piece", "here", "keeps extractors from"], rows(options.mode(), report)));
        #[cfg(feature = "testing")]
        if options.attempts {
            println!(
                "\n{}",
                table(["escaped", "attempt", "how it ended"], checked.attempts.iter().map(attempt))
            );
        }
        if let Some(lacks) = report.lacks() {
            println!("\n{}\n  help: {}", one_line(&lacks), report.what_to_do());
        }
    }
    if ok { ExitCode::SUCCESS } else { ExitCode::from(PROBLEMS) }
}

fn rows(mode: SandboxMode, report: &SandboxReport) -> impl Iterator<Item = [String; 3]> {
    Piece::ALL.iter().map(move |piece| {
        let lacks = report.missing.iter().find(|missing| missing.piece == *piece);
        let here = match (piece, lacks) {
            (_, Some(missing)) => format!("no: {}", one_line(&missing.why)),
            (Piece::Landlock | Piece::Seccomp, None) if mode == SandboxMode::Off => {
                "not asked for".to_owned()
            }
            (Piece::Landlock, None) => format!("version {}", report.landlock_abi),
            (_, None) => "yes".to_owned(),
        };
        [piece.as_str().to_owned(), here, piece.keeps_from().to_owned()]
    })
}

#[cfg(feature = "testing")]
fn attempt(trial: &docmill_worker::extract::trials::Trial) -> [String; 3] {
    let escaped = if trial.escaped { "YES" } else { "no" };
    [escaped.to_owned(), trial.attempt.to_owned(), one_line(&trial.how)]
}
