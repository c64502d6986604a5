//! Names are data for `docmill run` too: whatever files and what is packed in them are called, they are documents of their
//! own, nothing is written where a name points, and nothing that is shown steers a terminal.
//!
//! What hostile content does is looked at by `cargo xtask hostile`.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use docmill_tests::command::{Docmill, locate};
use docmill_tests::hostile::class;
use docmill_tests::hostile::made::{Made, by_name};
use tempfile::TempDir;

/// Longest name of a file on a disk, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// Where the names of some members point.
const ELSEWHERE: &[&str] = &["/tmp/docmill-was-here.txt", "/etc/docmill-was-here.txt"];

struct Place {
    root: TempDir,
}

impl Place {
    /// Documents and data lie deep, so that what climbs out of them stays in the folder of the test.
    fn new() -> Self {
        let place = Self { root: TempDir::new().unwrap() };
        std::fs::create_dir_all(place.docs()).unwrap();
        std::fs::create_dir_all(place.data().parent().unwrap()).unwrap();
        place
    }

    fn docs(&self) -> PathBuf {
        self.root.path().join("a/b/c/docs")
    }

    fn data(&self) -> PathBuf {
        self.root.path().join("a/b/c/own/data")
    }

    fn docmill(&self) -> Docmill {
        Docmill::new(&locate(None).unwrap(), &self.data())
    }

    /// All that is there but for what docmill keeps.
    fn listed(&self) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        list(self.root.path(), &self.root.path().join("a/b/c/own"), &mut found);
        found
    }
}

fn list(folder: &Path, but: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path != but {
            if path.is_dir() {
                list(&path, but, found);
            }
            found.insert(path);
        }
    }
}

/// Whether a disk takes a file of this name, and a walk does not pass it over.
fn is_file_name(name: &str) -> bool {
    !name.contains(['/', '\0']) && !name.starts_with('.') && (1..=NAME_BYTES_MAX).contains(&name.len())
}

/// What steers a terminal.
fn steers(text: &str) -> bool {
    text.chars().any(|c| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}'))
}

#[test]
fn names_are_shown_and_lead_nowhere() {
    let place = Place::new();
    let docs = place.docs().canonicalize().unwrap();
    let (mut good, mut bad) = (BTreeSet::new(), 0);
    for made in by_name().into_iter().filter(|made: &Made| made.times == 1 && is_file_name(&made.name)) {
        let path = docs.join(&made.name);
        made.write(&path).unwrap();
        if made.class == class::READ {
            good.insert(path);
        } else {
            bad += 1;
        }
    }
    // One name with a letter of its own and one with a letter and its accent are two.
    let is_cafe =
        |path: &&PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("caf"));
    let cafes = good.iter().filter(is_cafe).count();
    assert_eq!((cafes, bad), (2, 1), "{good:?}");
    let before = place.listed();

    let docmill = place.docmill();
    let run = docmill.run(&docs, &["--embeddings", "none"]).unwrap();
    assert_eq!(run.report["documents"], good.len() + bad, "{:#}", run.report);
    assert_eq!(run.report["succeeded"], good.len(), "{:#}", run.report);
    let listed: BTreeSet<PathBuf> =
        docmill.documents().unwrap().into_iter().map(|(path, _)| path).collect();
    let lacking: Vec<_> = good.difference(&listed).collect();
    assert!(lacking.is_empty(), "{lacking:?} of {listed:?}");
    // What is JSON escapes what it must; what it means is escaped before.
    let failure = &run.report["failures"][0];
    assert!(!steers(failure["uri"].as_str().unwrap()), "{failure}");
    assert!(!steers(failure["detail"].as_str().unwrap()), "{failure}");
    let chunks = docmill.export().unwrap();
    assert!(chunks.iter().any(|chunk| chunk.text.contains("one level up")), "what is packed was read");
    assert!(chunks.iter().all(|chunk| chunk.heading.as_deref().is_none_or(|heading| !steers(heading))));

    assert_eq!(place.listed(), before, "files came or went");
    assert!(
        ELSEWHERE.iter().all(|path| !Path::new(path).exists()),
        "a member was written to where it points"
    );
}

#[test]
fn what_a_person_sees_does_not_steer_the_terminal() {
    let place = Place::new();
    for made in by_name().into_iter().filter(|made| made.times == 1 && is_file_name(&made.name)) {
        made.write(&place.docs().join(&made.name)).unwrap();
    }
    let docmill = |args: &[&str]| {
        let mut command = Command::new(locate(None).unwrap());
        command.env_remove("DOCMILL_DATA_DIR").arg("--data-dir").arg(place.data()).args(args);
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        String::from_utf8(said).unwrap()
    };
    let docs = place.docs();
    let run = docmill(&["run", docs.to_str().unwrap(), "--embeddings", "none"]);
    assert!(run.contains("type_unsupported") && !steers(&run), "{run:?}");
    for args in [&["documents"][..], &["dead-letters"], &["search", "whatever"], &["search", "level"]] {
        let said = docmill(args);
        assert!(!said.is_empty() && !steers(&said), "{args:?}: {said:?}");
    }
}

#[test]
fn the_same_a_hundred_times_is_a_hundred_documents_and_not_paid_as_often() {
    let place = Place::new();
    for number in 0..100 {
        let path = place.docs().join(format!("{number}.txt"));
        std::fs::write(path, "The same words again and again, in each of the files.").unwrap();
    }
    let docmill = place.docmill();
    let run = docmill.run_well(&place.docs(), &["--embeddings", "mock"]).unwrap();
    assert_eq!((run.number("documents").unwrap(), run.number("succeeded").unwrap()), (100.0, 100.0));
    // Those that are in work at once may each pay before one has kept it.
    assert!(run.number("embedded_texts").unwrap() < 100.0, "{}", run.report["embedded_texts"]);
    assert!(docmill.verify().unwrap().values().all(|count| *count == 0));
}
