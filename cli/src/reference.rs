//! The reference page of the command, written from what it parses: options, variables, codes of errors.
//!
//! `UPDATE_REFERENCE=1 cargo test --workspace --bin docmill reference` writes it again.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, Command, CommandFactory};

use crate::args::Args;
use crate::codes::CODES;

const HOW: &str = "UPDATE_REFERENCE=1 cargo test --workspace --bin docmill reference";

/// Variables that no option shows.
const VARIABLES: &[(&str, &str)] = &[
    ("DOCMILL_ASK_API_KEY_FILE", "A file with the key of the model that writes answers"),
    ("DOCMILL_ASK_MODEL", "The name of the model that writes answers, at its address"),
    (
        "DOCMILL_ASK_URL",
        "Where the model that writes answers is, as OpenAI's clients name it: `https://HOST/v1`",
    ),
    ("DOCMILL_API_KEY", "The key for the server itself, where no file is named"),
    ("DOCMILL_CACHE", "Where `make` keeps what it fetches; without it `~/.cache/docmill`"),
    ("DOCMILL_MODELS", "Where the embedding model is looked for before the usual places"),
    ("MOCK_LLM_DELAY_MS", "Wait of the mock model before each word, in milliseconds; 0"),
    ("OPTIMIZATION_CACHE_SIZE", "Answers that `docmill serve` remembers; 1000"),
    (
        "USE_MOCK_EMBEDDINGS",
        "`1`: `docmill serve` begins a first index with vectors without meaning, for measuring",
    ),
    ("USE_MOCK_LLM", "`1`: answers are 20 words of no model, for measuring"),
    ("MAX_WORKERS", "Extractors that work at once, where neither `--workers` nor its variable says it"),
    ("PDFIUM_LIB", "The library that reads PDF, looked for here before the usual places"),
    ("TESSERACT_LIB", "The library that recognises pages, looked for here before the usual places"),
    (
        "TESSDATA_PREFIX",
        "Where Tesseract's models are, or their folder `tessdata`, before the usual places",
    ),
    ("SSL_CERT_FILE", "Authorities of certificates to trust in place of the system's"),
    ("XDG_DATA_HOME", "Where the data directory is, when `--data-dir` is not given"),
    ("XDG_STATE_HOME", "Where journals of submissions are"),
    ("NO_COLOR", "No colours, where it is not empty"),
];

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ").trim().to_owned()
}

fn named(arg: &Arg) -> String {
    let value = arg
        .get_value_names()
        .map(|names| names.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>().join(" "));
    let takes = arg.get_action().takes_values();
    let flags: Vec<String> =
        [arg.get_short().map(|short| format!("-{short}")), arg.get_long().map(|long| format!("--{long}"))]
            .into_iter()
            .flatten()
            .collect();
    match (flags.is_empty(), value.filter(|_| takes)) {
        (true, value) => value.unwrap_or_else(|| arg.get_id().as_str().to_uppercase()),
        (false, Some(value)) => format!("{} {value}", flags.join(", ")),
        (false, None) => flags.join(", "),
    }
}

fn options(page: &mut String, command: &Command, global: bool) {
    let shown: Vec<&Arg> =
        command.get_arguments().filter(|arg| arg.is_global_set() == global && !arg.is_hide_set()).collect();
    if shown.is_empty() {
        return;
    }
    page.push_str("| | variable | default | |\n|---|---|---|---|\n");
    for arg in shown {
        let variable = arg.get_env().map_or(String::new(), |name| format!("`{}`", name.to_string_lossy()));
        let defaults: Vec<_> =
            arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        let default = match arg.get_action().takes_values() && !defaults.is_empty() {
            true => format!("`{}`", defaults.join(",")),
            false => String::new(),
        };
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let possible: Vec<String> = arg
            .get_possible_values()
            .iter()
            .filter(|_| arg.get_action().takes_values())
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        let help = if possible.is_empty() { help } else { format!("{help}: {}", possible.join(", ")) };
        writeln!(page, "| `{}` | {variable} | {default} | {} |", named(arg), cell(&help)).unwrap();
    }
    page.push('\n');
}

fn describe(page: &mut String, path: &str, command: &Command) {
    for below in
        command.get_subcommands().filter(|below| !below.is_hide_set() && below.get_name() != "help")
    {
        let path = format!("{path} {}", below.get_name());
        let about = below.get_about().map(ToString::to_string).unwrap_or_default();
        writeln!(page, "### `{path}`\n\n{about}.\n").unwrap();
        options(page, below, false);
        describe(page, &path, below);
    }
}

#[test]
fn reference() {
    let command = Args::command();
    let mut page = format!(
        "# The command\n\n<!-- Generated: {HOW} -->\n\n{}.\n\n## Options of every command\n\n",
        command.get_about().unwrap()
    );
    options(&mut page, &command, true);
    page.push_str("## Commands\n\n");
    describe(&mut page, "docmill", &command);
    page.push_str(
        "## Environment\n\nBeside the variables of options above. An option counts more than its variable.\n\n\
         | variable | |\n|---|---|\n",
    );
    for (name, meaning) in VARIABLES {
        writeln!(page, "| `{name}` | {meaning} |").unwrap();
    }
    page.push_str(
        "\n## Exit codes\n\n| | |\n|---|---|\n| 0 | Done |\n| 1 | An error, with one of the codes below |\n\
         | 2 | Wrong usage |\n| 3 | Some documents failed or were cancelled |\n| 4 | The audit found something |\n\
         | 130 | Interrupted |\n\n## Codes of errors\n\nAs `error[…]`, and with `--json` as `error.code`. What a \
         server refuses has [the server's codes](api-problems.md).\n\n| code | what happened |\n|---|---|\n",
    );
    for (code, meaning) in CODES {
        writeln!(page, "| `{code}` | {meaning} |").unwrap();
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/command.md");
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == page, "docs/reference/command.md is old: run `{HOW}`");
}

#[test]
fn codes_are_sorted_and_distinct() {
    assert!(CODES.is_sorted_by(|one, next| one.0 < next.0));
}
