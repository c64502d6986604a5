//! The command as people use it: directories of their own, every exit code, every promise of the README.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A directory of documents and a data directory.
struct Place {
    root: TempDir,
}

const SHELL: &str = "# Shells\n\nThe Bourne shell reads commands from a terminal or a script. It expands \
    variables before it runs a command, and it keeps a history of what was typed.\n\n## Quoting\n\nQuotes keep \
    white space. A backslash protects the next character from being special.";
const GARDEN: &str = "Tomatoes want sun and water. The gardener in Nuremberg waters them at dawn, before the \
    heat of the day, and never on their leaves.";

impl Place {
    fn new() -> Self {
        let place = Self { root: TempDir::new().unwrap() };
        std::fs::create_dir(place.docs()).unwrap();
        place
    }

    fn docs(&self) -> PathBuf {
        self.root.path().join("docs")
    }

    fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.docs().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_docmill"));
        command.env_remove("DOCMILL_DATA_DIR").arg("--data-dir").arg(self.data()).args(args);
        command
    }

    fn output(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// The JSON that a command prints, whatever its exit code.
    fn json(&self, args: &[&str]) -> (Value, i32) {
        let output = self.output(&[&["--json"], args].concat());
        let text = String::from_utf8(output.stdout).unwrap();
        let value = serde_json::from_str(&text).unwrap_or_else(|error| {
            panic!("{args:?}: {error}: {text}{}", String::from_utf8_lossy(&output.stderr))
        });
        (value, output.status.code().unwrap())
    }

    /// A run over the documents; panics unless it ends with the exit code.
    fn run(&self, more: &[&str], code: i32) -> Value {
        let docs = self.docs();
        let args = [&["run", docs.to_str().unwrap(), "--embeddings", "mock"], more].concat();
        let (report, found) = self.json(&args);
        assert_eq!(found, code, "{report:#}");
        report
    }

    /// Where the hits are that have the query's first word. Vectors without meaning find something near
    /// for any query; these are not counted.
    fn hits(&self, query: &str) -> Vec<String> {
        let (found, code) = self.json(&["search", query]);
        assert_eq!(code, 0, "{found:#}");
        let word = query.split(' ').next().unwrap();
        let results = found["results"].as_array().unwrap().iter();
        results
            .filter(|hit| hit["text"].as_str().unwrap().contains(word))
            .map(|hit| hit["document"]["uri"].as_str().unwrap().to_owned())
            .collect()
    }

    fn assert_clean(&self) {
        let (findings, code) = self.json(&["verify"]);
        assert_eq!(code, 0, "{findings:#}");
    }
}

fn uri(path: &Path) -> String {
    format!("file://{}", path.canonicalize().unwrap().display())
}

#[test]
fn documents_are_found_by_what_they_say_and_a_second_run_does_nothing_twice() {
    let place = Place::new();
    let shell = place.write("shell.md", SHELL);
    place.write("garden.txt", GARDEN);
    place.write("hidden/.git/config", "never looked at");
    let report = place.run(&[], 0);
    assert_eq!((report["documents"].as_u64(), report["succeeded"].as_u64()), (Some(2), Some(2)));
    assert_eq!(place.hits("backslash protects")[0], uri(&shell));
    let again = place.run(&[], 0);
    assert_eq!((again["documents"].as_u64(), again["skipped"].as_u64()), (Some(0), Some(2)));
    assert_eq!(again["embedded_texts"], 0);
    place.assert_clean();
}

#[test]
fn edits_moves_twins_and_removals_are_followed() {
    let place = Place::new();
    let shell = place.write("shell.md", SHELL);
    let garden = place.write("garden.txt", GARDEN);
    place.run(&[], 0);
    let before = place.json(&["documents", "show", shell.to_str().unwrap()]).0;

    place.write("shell.md", SHELL.replace("backslash", "reversed stroke"));
    assert_eq!(place.run(&[], 0)["succeeded"], 1);
    assert!(place.hits("backslash").is_empty());
    assert_eq!(place.hits("reversed stroke")[0], uri(&shell));

    let moved = place.docs().join("sub/shells.md");
    std::fs::create_dir_all(moved.parent().unwrap()).unwrap();
    std::fs::rename(&shell, &moved).unwrap();
    let report = place.run(&[], 0);
    assert_eq!((report["moved"].as_u64(), report["documents"].as_u64()), (Some(1), Some(0)));
    let after = place.json(&["documents", "show", moved.to_str().unwrap()]).0;
    assert_eq!(before["id"], after["id"], "a moved document stays itself");

    let twin = place.write("twin.txt", GARDEN);
    assert_eq!(place.run(&[], 0)["embedded_texts"], 0, "what a text costs is paid once");
    let found = place.json(&["search", "Tomatoes want sun"]).0;
    let of_garden = |hit: &&Value| hit["text"].as_str().unwrap().contains("Tomatoes");
    let twins = found["results"].as_array().unwrap().iter().filter(of_garden).count();
    assert_eq!(twins, 1, "twins are one hit: {found:#}");

    std::fs::remove_file(&twin).unwrap();
    std::fs::remove_file(&garden).unwrap();
    assert_eq!(place.run(&[], 0)["vanished"], 2);
    assert!(!place.hits("Tomatoes").is_empty(), "without --sync nothing is removed");
    assert_eq!(place.run(&["--sync"], 0)["removed"], 2);
    assert!(place.hits("Tomatoes").is_empty());
    place.assert_clean();
}

#[test]
fn sync_refuses_what_looks_like_a_mistake() {
    let place = Place::new();
    for n in 0..24 {
        place.write(&format!("{n}.txt"), format!("Document number {n} says something of its own."));
    }
    place.run(&[], 0);
    for n in 0..13 {
        std::fs::remove_file(place.docs().join(format!("{n}.txt"))).unwrap();
    }
    let refused = place.run(&["--sync"], 1);
    assert_eq!(refused["error"]["code"], "sync_refused");
    assert_eq!(refused["report"]["vanished"], 13, "what was done is told beside the error: {refused:#}");
    let missing = place.docs().join("missing");
    let docs = place.docs();
    let (refused, _) =
        place.json(&["run", docs.to_str().unwrap(), missing.to_str().unwrap(), "--sync=force"]);
    assert_eq!(refused["error"]["code"], "sync_refused", "{refused:#}");
    assert_eq!(place.run(&["--sync=force"], 0)["removed"], 13);
    place.assert_clean();
}

#[test]
fn bad_files_have_their_reason_and_the_rest_goes_on() {
    let place = Place::new();
    place.write("good.txt", GARDEN);
    place.write("empty.pdf", "");
    place.write("cut.pdf", "%PDF-1.7\n1 0 obj\n<< /Type /Catalog");
    place.write("noise.bin", (0..4_000u32).map(|n| ((n * 7_919) >> 3) as u8).collect::<Vec<u8>>());
    place.write("blank.txt", "  \n \n");
    place.write("large.txt", "x".repeat(2 << 20));
    let report = place.run(&["--max-file-mib", "1"], 3);
    let failures = report["failures"].as_array().unwrap();
    let code = |name: &str| {
        let failure = failures.iter().find(|failure| failure["uri"].as_str().unwrap().ends_with(name));
        failure.unwrap_or_else(|| panic!("{name}: {report:#}"))["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(code("empty.pdf"), "empty");
    assert_eq!(code("cut.pdf"), "damaged");
    assert_eq!(code("noise.bin"), "type_unsupported");
    assert_eq!(code("blank.txt"), "no_text");
    assert_eq!(code("large.txt"), "limit_file_size");
    assert!(failures.iter().all(|failure| !failure["advice"].as_str().unwrap().is_empty()));
    assert_eq!(place.hits("gardener").len(), 1);

    let (letters, _) = place.json(&["dead-letters"]);
    assert_eq!(letters["dead_letters"].as_array().or(letters.as_array()).unwrap().len(), 4, "{letters:#}");
    // What the scan refused is no dead letter; these were all refused by who reads them.
    let stages =
        letters["dead_letters"].as_array().unwrap().iter().map(|letter| &letter["failure"]["stage"]);
    assert_eq!(stages.filter(|stage| *stage == "extract").count(), 4, "{letters:#}");
    let (replayed, _) = place.json(&["dead-letters", "replay", "--code", "damaged"]);
    assert_eq!((&replayed["replayed"], &replayed["failed"]), (&1.into(), &1.into()), "{replayed:#}");
    let (replayed, _) = place.json(&["dead-letters", "replay", "--all"]);
    assert_eq!(
        (replayed["replayed"].as_u64(), replayed["failed"].as_u64()),
        (Some(4), Some(4)),
        "{replayed:#}"
    );
    place.assert_clean();
}

#[test]
fn what_was_read_with_losses_says_of_which_page_and_why() {
    let place = Place::new();
    place.write("good.txt", GARDEN);
    place.write("cut.pdf", "%PDF-1.7\n1 0 obj\n<< /Type /Catalog");
    let cut =
        place.write("cut.xml", "<letter><a>The first paragraph stands</a><b>and the second breaks off");
    let report = place.run(&[], 3);
    assert_eq!((&report["succeeded"], &report["lost_pages"]), (&2.into(), &1.into()), "{report:#}");
    let lossy = &report["read_with_losses"];
    assert_eq!(lossy.as_array().unwrap().len(), 1, "{report:#}");
    let loss = &lossy[0]["losses"][0];
    assert_eq!(lossy[0]["uri"], uri(&cut));
    assert_eq!((&lossy[0]["pages"], &lossy[0]["lost_pages"]), (&1.into(), &1.into()), "{lossy:#}");
    assert_eq!(
        (&loss["page"], &loss["outcome"], &loss["code"]),
        (&1.into(), &"lost".into(), &"damaged".into())
    );
    assert_eq!(place.hits("paragraph").len(), 1, "what was read is found");

    let (shown, _) = place.json(&["documents", "show", cut.to_str().unwrap()]);
    assert_eq!(shown["summary"]["lost_pages"], 1, "{shown:#}");
    assert_eq!(shown["page_notes"], lossy[0]["losses"], "{shown:#}");
    let shown =
        String::from_utf8(place.output(&["documents", "show", cut.to_str().unwrap()]).stdout).unwrap();
    assert!(shown.contains("p. 1    lost: the parser cannot make sense of the file ("), "{shown}");

    // Again from nothing, for a person: the reason of what failed in words, then what was read with losses.
    std::fs::remove_dir_all(place.data()).unwrap();
    let docs = place.docs();
    let output = place.output(&["run", docs.to_str().unwrap(), "--embeddings", "mock"]);
    let said = String::from_utf8(output.stdout).unwrap();
    let at = |text: &str| said.find(text).unwrap_or_else(|| panic!("no `{text}` in {said}"));
    assert!(at("damaged 1: the parser cannot make sense of the file") < at("read with losses 1"), "{said}");
    assert!(at("read with losses 1") < at("cut.xml: 1 of 1 pages"), "{said}");
    at("    p. 1    lost: the parser cannot make sense of the file (");
}

#[test]
fn an_unreadable_file_is_tried_again_when_it_can_be_read() {
    let place = Place::new();
    place.write("good.txt", GARDEN);
    let lost = place.docs().join("lost.txt");
    std::os::unix::fs::symlink(place.root.path().join("nowhere"), &lost).unwrap();
    assert_eq!(place.run(&[], 0)["documents"], 1, "a link to nothing is no document");
    std::fs::write(place.root.path().join("nowhere"), SHELL).unwrap();
    assert_eq!(place.run(&[], 0)["succeeded"], 1);
    assert_eq!(place.hits("Bourne").len(), 1);
}

#[test]
fn metrics_count_what_the_report_says() {
    let place = Place::new();
    place.write("shell.md", SHELL);
    place.write("garden.txt", GARDEN);
    place.write("blank.txt", " ");
    let file = place.root.path().join("docmill.prom");
    let report = place.run(&["--metrics", file.to_str().unwrap()], 3);
    let text = std::fs::read_to_string(&file).unwrap();
    let metric = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name}: {text}")).parse::<u64>().unwrap()
    };
    assert_eq!(metric("docmill_documents_total{outcome=\"committed\"}"), 2);
    assert_eq!(metric("docmill_failures_total{code=\"no_text\"}"), 1);
    assert_eq!(metric("docmill_document_seconds_count"), 3);
    assert_eq!(metric("docmill_stage_seconds_count{stage=\"extract\"}"), 2);
    assert_eq!(Some(metric("docmill_chunks_total")), report["chunks"].as_u64());
    assert_eq!(metric("docmill_documents_unsettled"), 0);
    assert!(!text.contains("garden"), "metrics name no document");
}

#[test]
fn a_deleted_document_is_gone_from_everything() {
    let place = Place::new();
    let shell = place.write("shell.md", SHELL);
    place.write("garden.txt", GARDEN);
    place.run(&[], 0);
    let (deleted, code) = place.json(&["documents", "delete", shell.to_str().unwrap()]);
    assert_eq!(code, 0, "{deleted:#}");
    assert!(place.hits("Bourne").is_empty());
    let export = place.output(&["export"]);
    assert!(!String::from_utf8_lossy(&export.stdout).contains("Bourne"));
    let (_, code) = place.json(&["documents", "delete", "no-such-document"]);
    assert_eq!(code, 1);
    place.assert_clean();
}

#[test]
fn another_model_is_another_index() {
    let place = Place::new();
    place.write("shell.md", SHELL);
    place.write("garden.txt", GARDEN);
    place.run(&[], 0);
    let docs = place.docs();
    let (refused, code) = place.json(&["run", docs.to_str().unwrap(), "--embeddings", "none"]);
    assert_eq!((refused["error"]["code"].as_str(), code), (Some("index_mismatch"), 1));
    // The files are not needed: texts are stored.
    std::fs::remove_dir_all(&docs).unwrap();
    let (done, code) = place.json(&["reindex", "--embeddings", "none"]);
    assert_eq!((done["documents"].as_u64(), code), (Some(2), 0), "{done:#}");
    let (found, _) = place.json(&["search", "gardener"]);
    assert_eq!(found["mode"], "full_text", "{found:#}");
    assert_eq!(found["results"].as_array().unwrap().len(), 1);
    let (status, _) = place.json(&["status"]);
    assert_eq!(status["vectors"], 0, "{status:#}");
    place.assert_clean();
}

#[test]
fn an_older_content_that_is_shown_survives_another_index() {
    let place = Place::new();
    let garden = place.write("garden.pdf.txt", GARDEN);
    place.write("shell.md", SHELL);
    place.run(&[], 0);
    // Its next version cannot be read; search goes on showing the one before.
    std::fs::write(&garden, "%PDF-1.7 and nothing of a PDF").unwrap();
    let report = place.run(&[], 3);
    assert_eq!(report["failed"], 1, "{report:#}");
    assert_eq!(place.hits("gardener").len(), 1);
    let (done, code) = place.json(&["reindex", "--embeddings", "none"]);
    assert_eq!((done["lacking"].as_u64(), code), (Some(0), 0), "{done:#}");
    assert_eq!(place.hits("gardener").len(), 1, "the switch took it from search");
    let (letters, _) = place.json(&["dead-letters"]);
    assert_eq!(letters["dead_letters"].as_array().or(letters.as_array()).unwrap().len(), 1, "{letters:#}");
    place.assert_clean();
}

#[test]
fn what_a_store_lost_is_found_and_repaired() {
    let place = Place::new();
    place.write("shell.md", SHELL);
    place.write("garden.txt", GARDEN);
    place.run(&[], 0);
    {
        let database = rusqlite::Connection::open(place.data().join("docmill.db")).unwrap();
        let lost = "DELETE FROM vectors WHERE row = 1; DELETE FROM vector_values WHERE row = 1;
             DELETE FROM chunks WHERE row = 2; DELETE FROM chunk_terms WHERE rowid = 2;";
        database.execute_batch(lost).unwrap();
    }
    let (findings, code) = place.json(&["verify"]);
    assert_eq!((findings["missing"].as_u64(), code), (Some(2), 4), "{findings:#}");
    place.json(&["verify", "--repair"]);
    place.assert_clean();
    assert_eq!(place.hits("gardener").len(), 1);
}

#[test]
fn one_writer_at_a_time_and_no_newer_format() {
    let place = Place::new();
    place.write("garden.txt", GARDEN);
    place.run(&[], 0);
    let lock = std::fs::File::options().write(true).open(place.data().join("writer.lock")).unwrap();
    lock.lock().unwrap();
    let busy = place.run(&[], 1);
    assert_eq!(busy["error"]["code"], "data_dir_busy");
    assert_eq!(place.hits("gardener").len(), 1, "reading goes on beside a writer");
    drop(lock);
    let database = rusqlite::Connection::open(place.data().join("docmill.db")).unwrap();
    database.execute("UPDATE meta SET value = 99 WHERE key = 'format'", []).unwrap();
    drop(database);
    assert_eq!(place.run(&[], 1)["error"]["code"], "data_dir_newer");
    assert_eq!(place.json(&["search", "x"]).0["error"]["code"], "data_dir_newer");
}

#[test]
fn an_older_format_is_brought_up_to_date_by_whoever_writes() {
    let place = Place::new();
    place.write("garden.txt", GARDEN);
    place.run(&[], 0);
    let database = rusqlite::Connection::open(place.data().join("docmill.db")).unwrap();
    let format_1 = "DROP TABLE api_keys; DROP TABLE objects; DROP TABLE batches; DROP TABLE batch_documents;
                    DROP TABLE answers; DROP TABLE usage; DROP TABLE told;
                    DROP INDEX documents_of_tenant; DROP INDEX documents_of_content; DROP INDEX documents_of_kind;
                    DROP INDEX documents_lately; DROP INDEX manifests_by_seq;
                    ALTER TABLE workers DROP COLUMN started_at_ms;
                    ALTER TABLE documents DROP COLUMN media_type; ALTER TABLE documents DROP COLUMN language;
                    ALTER TABLE documents DROP COLUMN category; ALTER TABLE documents DROP COLUMN claimed_at_ms;
                    ALTER TABLE vector_values DROP COLUMN passages; ALTER TABLE indexes DROP COLUMN begun;
                    UPDATE meta SET value = 1 WHERE key = 'format'";
    database.execute_batch(format_1).unwrap();
    drop(database);
    assert_eq!(place.json(&["search", "gardener"]).0["error"]["code"], "data_dir_older");
    place.write("other.txt", "Another gardener came later.");
    place.run(&[], 0);
    assert_eq!(place.hits("gardener").len(), 2);
    place.assert_clean();
}

#[test]
fn concepts_lead_to_documents() {
    let place = Place::new();
    let garden = place.write(
        "garden.txt",
        format!("{GARDEN}\n\nThe Botanical Garden of Nuremberg grows Nuremberg roses."),
    );
    place.run(&[], 0);
    let (concept, code) = place.json(&["concept", "nuremberg"]);
    assert_eq!(code, 0, "{concept:#}");
    assert!(concept.to_string().contains(&uri(&garden)), "{concept:#}");
    let (misspelt, _) = place.json(&["concept", "Nuremburg"]);
    assert_eq!(misspelt["canonical_name"], concept["canonical_name"], "{misspelt:#}");
    assert_eq!(place.json(&["concept", "no such thing"]).1, 1);
}

#[test]
fn tenants_see_their_own_documents_only() {
    let place = Place::new();
    place.write("garden.txt", GARDEN);
    place.run(&[], 0);
    let docs = place.docs();
    place.json(&["--tenant", "other", "run", docs.to_str().unwrap(), "--embeddings", "mock"]);
    place.json(&["documents", "delete", docs.join("garden.txt").to_str().unwrap()]);
    assert!(place.hits("gardener").is_empty());
    let (other, _) = place.json(&["--tenant", "other", "search", "gardener"]);
    assert_eq!(other["results"].as_array().unwrap().len(), 1, "{other:#}");
    place.assert_clean();
}

#[test]
fn mistakes_on_the_command_line_say_what_to_do() {
    let place = Place::new();
    for (args, code) in [
        (&["status"][..], "data_dir_empty"),
        (&["search", "x"], "data_dir_empty"),
        (&["run", "/no/such/path"], "no_such_path"),
        (&["--tenant", "a b", "status"], "bad_tenant"),
    ] {
        let (said, exit) = place.json(args);
        assert_eq!((said["error"]["code"].as_str(), exit), (Some(code), 1), "{args:?}");
        let output = place.output(args);
        let human = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(human.contains(&format!("error[{code}]")) && human.contains("help:"), "{human}");
        assert!(!human.contains('\x1b'), "no colours but on a terminal");
    }
}

#[test]
fn a_search_is_narrowed_counted_and_explained() {
    let place = Place::new();
    let shell = place.write("shell.md", SHELL);
    place.write("garden.txt", GARDEN);
    place.run(&[], 0);
    let search = |args: &[&str]| place.json(&[&["search", "backslash protects"], args].concat()).0;
    let found = search(&["--explain", "--facets", "mediaType", "-k", "2"]);
    // Which one is first is chance: a mock makes of the meaning what it likes.
    let is_shell = |hit: &&serde_json::Value| hit["document"]["uri"] == uri(&shell);
    let best = found["results"].as_array().unwrap().iter().find(is_shell).unwrap();
    assert!(best["explain"]["words"].as_f64().unwrap() > 0.0, "{found:#}");
    assert!(found["facets"]["mediaType"].as_array().is_some_and(|counts| !counts.is_empty()), "{found:#}");
    let elsewhere = search(&["--media-type", best["document"]["mediaType"].as_str().unwrap()]);
    assert!(elsewhere["results"].as_array().is_some_and(|hits| !hits.is_empty()));
    let nowhere = search(&["--before", "1970-01-01T00:00:01Z"]);
    assert_eq!(nowhere["results"].as_array().map(Vec::len), Some(0), "{nowhere:#}");
    let wrong = search(&["--from", "2000-01-01T00:00:00Z", "--before", "2000-01-01T00:00:00Z"]);
    assert_eq!(wrong["error"]["code"], "bad_search");
}

#[test]
fn a_question_is_answered_from_the_documents() {
    let place = Place::new();
    let garden = place.write("garden.txt", GARDEN);
    place.run(&[], 0);
    let ask = |json: bool, variables: &[(&str, &str)]| {
        let json: &[&str] = if json { &["--json"] } else { &[] };
        let mut command =
            place.command(&[json, &["ask", "When does the gardener water tomatoes?"]].concat());
        for name in ["USE_MOCK_LLM", "MOCK_LLM_DELAY_MS", "DOCMILL_ASK_URL", "DOCMILL_ASK_MODEL"] {
            command.env_remove(name);
        }
        let output = command.envs(variables.iter().copied()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let answer: Value = serde_json::from_str(&ask(true, &[])).unwrap();
    assert!(answer["answer"].as_str().unwrap().contains("dawn"), "{answer:#}");
    assert_eq!(
        (&answer["extractive"], &answer["citations"][0]["uri"]),
        (&true.into(), &uri(&garden).into())
    );
    let shown = ask(false, &[]);
    assert!(shown.contains("dawn") && shown.contains("[1] ") && shown.contains(&uri(&garden)), "{shown}");
    let mock: Value = serde_json::from_str(&ask(true, &[("USE_MOCK_LLM", "1")])).unwrap();
    assert!(mock["answer"].as_str().unwrap().starts_with("Mock response to: When"), "{mock:#}");
    let wrong: Value = serde_json::from_str(&ask(true, &[("USE_MOCK_LLM", "maybe")])).unwrap();
    assert_eq!(wrong["error"]["code"], "bad_ask");
}

#[test]
fn one_concept_leads_to_another() {
    let place = Place::new();
    place.write("garden.txt", GARDEN);
    place.run(&[], 0);
    let (concepts, _) = place.json(&["concepts"]);
    let names: Vec<&str> =
        concepts["concepts"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    // One short text: all that it names stands in one chunk.
    assert!(names.len() > 1, "{concepts:#}");
    let (way, code) = place.json(&["concept", names[0], "--path", names[1]]);
    assert_eq!((code, way["steps"].as_array().map(Vec::len)), (0, Some(2)), "{way:#}");
    assert_eq!(way["steps"][1]["via"]["page"], 1);
    let (unknown, _) = place.json(&["concept", names[0], "--path", "no such concept at all"]);
    assert_eq!(unknown["error"]["code"], "unknown_concept");
}

/// The mock's vectors are equal for equal texts and near to nothing else: a title that stands for a category decides.
#[test]
fn documents_have_the_categories_that_were_given_last() {
    let place = Place::new();
    let shell = place.write("shell.md", SHELL);
    place.write("garden.md", format!("# Garden\n\n{GARDEN}"));
    let classified = |more: &[&str], again: bool| {
        let report = place.run(more, 0);
        let warnings = report["warnings"].to_string();
        assert_eq!(warnings.contains("2 documents are classified again"), again, "{more:?}: {warnings}");
    };
    let of = |category: &str| {
        let (found, code) = place.json(&["search", "Bourne shell", "--category", category, "-k", "10"]);
        assert_eq!(code, 0, "{found:#}");
        let uris = found["results"].as_array().unwrap().iter();
        uris.map(|hit| hit["document"]["uri"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    let only_shell = BTreeSet::from([uri(&shell)]);

    classified(&["--category", "computing=Shells", "--category", "letter=Dear Sir"], false);
    assert_eq!(of("computing"), only_shell);
    assert!(of("letter").is_empty());
    let (shown, _) = place.json(&["documents", "show", shell.to_str().unwrap()]);
    let summary = &shown["summary"];
    assert_eq!(
        (&summary["category"], &summary["category_confidence"]),
        (&Value::from("computing"), &Value::from(1.0)),
        "{shown:#}"
    );
    let (counted, _) = place.json(&["search", "Bourne shell", "--facets", "category"]);
    assert_eq!(counted["facets"]["category"][0]["value"], "computing", "{counted:#}");

    // Of a file, in the place of those that were there.
    let file = place.root.path().join("categories");
    std::fs::write(&file, "# by what they are called\nunix = Shells\n").unwrap();
    classified(&["--classify", file.to_str().unwrap()], true);
    assert!(of("computing").is_empty(), "an old category");
    assert_eq!(of("unix"), only_shell);
    // Without a word they stay as they are, and so does what is new.
    classified(&[], false);
    let another = place.write("more/shells.md", SHELL.replace("Bourne", "old Bourne"));
    place.run(&[], 0);
    assert_eq!(of("unix"), BTreeSet::from([uri(&shell), uri(&another)]));
    let report = place.run(&["--no-classify"], 0);
    assert!(report["warnings"].to_string().contains("3 documents are classified again"), "{report:#}");
    assert!(of("unix").is_empty());
    place.assert_clean();
}

#[test]
fn what_cannot_be_a_category_is_said_before_anything_is_done() {
    let place = Place::new();
    place.write("shell.md", SHELL);
    for wrong in [["--category", "a,b=c"], ["--category", "=x"], ["--classify", "/nowhere/at/all"]] {
        let docs = place.docs();
        let (said, code) = place.json(&[&["run", docs.to_str().unwrap()], &wrong[..]].concat());
        assert_eq!((said["error"]["code"].as_str(), code != 0), (Some("bad_categories"), true), "{said:#}");
    }
    assert!(!place.data().join("categories.json").exists());
}
