//! `docmill serve`: API and dashboard on the data directory, until it is interrupted.

use std::process::ExitCode;

use docmill_worker::api::memo::MemoSettings;
use docmill_worker::embedded::{ServeOptions, Served};
use serde_json::json;

use super::{Context, ask, run};
use crate::args;
use crate::failure::Failure;
use crate::output::{Style, escaped};

/// How many answers are remembered, where people say it.
const CACHE_VARIABLE: &str = "OPTIMIZATION_CACHE_SIZE";
/// Most answers that may be remembered.
const CACHE_MAX: usize = 20_000;

pub async fn execute(context: &Context, asked: args::Serve) -> Result<ExitCode, Failure> {
    let options = ServeOptions {
        listen: asked.listen,
        watch: asked.watch,
        tenant: context.tenant.clone(),
        run: run::options(context, &asked.reading)?,
        ask: ask::settings()?,
        mock_embeddings: is_on("USE_MOCK_EMBEDDINGS")?,
        memo: memo()?,
    };
    crate::signals::reclaim_on_signal();
    let stop = crate::signals::stop_saying("ending: what is being answered is answered, the rest waits");
    let json = context.json;
    crate::backend::serve(&context.dir, options, move |served| tell(served, json), stop).await?;
    Ok(ExitCode::SUCCESS)
}

/// Says where it is, as soon as it is there. Whoever no longer reads it is served all the same.
fn tell(served: &Served, json: bool) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    let url = format!("http://{}", served.listen);
    let _ = if json {
        writeln!(out, "{}", json!({"url": url, "tokenFile": served.token_file}))
    } else {
        let style = Style::stdout();
        let token = served.token_file.as_ref().map(|file| escaped(&file.to_string_lossy()));
        let token =
            token.map(|file| style.dim(&format!("\ntoken for changes: {file}"))).unwrap_or_default();
        writeln!(out, "docmill is at {}{token}", style.strong(&url))
    };
    let _ = out.flush();
}

fn memo() -> Result<MemoSettings, Failure> {
    let given = MemoSettings::default();
    let Some(text) = variable(CACHE_VARIABLE) else { return Ok(given) };
    let entries = text.parse().ok().filter(|entries| *entries <= CACHE_MAX);
    let entries = entries.ok_or_else(|| wrong(CACHE_VARIABLE, &text, &format!("use 0 to {CACHE_MAX}")))?;
    Ok(MemoSettings { entries, ..given })
}

fn is_on(name: &str) -> Result<bool, Failure> {
    match variable(name).as_deref() {
        None | Some("0" | "false") => Ok(false),
        Some("1" | "true") => Ok(true),
        Some(other) => Err(wrong(name, other, "use 1, true, 0 or false")),
    }
}

fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?.trim().to_owned();
    (!value.is_empty()).then_some(value)
}

fn wrong(name: &str, value: &str, advice: &str) -> Failure {
    Failure::new("bad_variable", format!("{name}={value:?} cannot be used"), advice)
}
