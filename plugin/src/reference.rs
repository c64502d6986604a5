//! The reference page against what the command parses: `docs/reference/kubectl-docmill.md` is written by hand.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use clap::{Command, CommandFactory};

use crate::args::Args;
use crate::failure::CODES;

/// What a heading of a command begins with.
const HEADING: &str = "### `";

fn page() -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/kubectl-docmill.md");
    std::fs::read_to_string(file).unwrap()
}

/// Commands that do something, with all their names.
fn leaves(path: &str, command: &Command, found: &mut Vec<(String, Command)>) {
    let below: Vec<&Command> =
        command.get_subcommands().filter(|below| below.get_name() != "help").collect();
    if below.is_empty() {
        found.push((path.to_owned(), command.clone()));
    }
    for below in below {
        leaves(&format!("{path} {}", below.get_name()), below, found);
    }
}

fn options(command: &Command) -> impl Iterator<Item = String> {
    let shown = command.get_arguments().filter(|arg| !arg.is_global_set() && !arg.is_hide_set());
    shown.filter_map(|arg| arg.get_long()).filter(|long| *long != "help").map(|long| format!("--{long}"))
}

#[test]
fn every_command_and_option_has_its_place() {
    let (page, mut found) = (page(), Vec::new());
    leaves("kubectl docmill", &Args::command(), &mut found);
    let headings: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix(HEADING)?.strip_suffix('`')).collect();
    let names: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(headings, names, "docs/reference/kubectl-docmill.md names other commands");
    for (path, command) in &found {
        let (_, section) = page.split_once(&format!("{HEADING}{path}`")).unwrap();
        let section = section.split("\n##").next().unwrap_or_default();
        for option in options(command) {
            assert!(section.contains(&option), "{path}: {option} is not in its section");
        }
        for named in section.lines().filter(|line| line.starts_with("| `-")) {
            let known = options(command).any(|option| named.contains(&option));
            assert!(known, "{path}: there is no option as in {named}");
        }
    }
}

#[test]
fn options_of_every_command_and_codes_are_told() {
    let page = page();
    for arg in Args::command().get_arguments().filter(|arg| arg.is_global_set()) {
        let option = format!("--{}", arg.get_long().unwrap());
        assert!(page.contains(&option), "{option}");
    }
    for (code, meaning) in CODES {
        assert!(page.contains(&format!("| `{code}` | {meaning} |\n")), "{code}");
    }
}
