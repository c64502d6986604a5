//! Neo4j Community for the tests: its jars, by Maven, which knows what they need of each other.
//!
//! The server is under the GPL, version 3: it is run as a process of its own, and nothing of it is linked.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::apt;
use crate::{cache, process};

/// The project whose dependencies are the server. Nothing in it floats: a version names all below it.
const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>docmill</groupId><artifactId>test-services</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.neo4j</groupId><artifactId>neo4j</artifactId><version>5.26.30</version></dependency>
    <dependency><groupId>org.neo4j.app</groupId><artifactId>neo4j-server</artifactId><version>5.26.30</version></dependency>
  </dependencies>
</project>
"#;
/// The goal that copies them. Its own version is pinned too: Maven would take what it happens to know.
const GOAL: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies";
/// SHA-256 over the lines `NAME SHA-256` of all jars, by name.
const SHA256: &str = "3dbd87c057cf3eee63575b5c056d23047ce27e43b2842391403144d0ae79c4d2";

/// Where it goes, under the cache's root. The tests look there.
const PLACE: &str = "services/neo4j";
/// Says which jars they are; written last.
const PIN: &str = "jars.sha256";

/// Fetches the jars unless they are there.
pub fn install(cache: &Path) -> Result<()> {
    // Also with all jars there: the tests need Java.
    apt::install_maven()?;
    let place = cache.join(PLACE);
    if fs::read_to_string(place.join(PIN)).is_ok_and(|pin| pin == SHA256) {
        return Ok(());
    }
    println!("setup: fetching Neo4j Community (123 MB)");
    cache::place_folder(&place, fetch)
}

fn fetch(to: &Path) -> Result<()> {
    let (pom, jars) = (to.join("pom.xml"), to.join("lib"));
    cache::write(&pom, POM.as_bytes(), 0o644)?;
    let mut output = std::ffi::OsString::from("-DoutputDirectory=");
    output.push(&jars);
    let mut maven = Command::new("mvn");
    maven.args(["--batch-mode", "--quiet", "--file"]).arg(&pom).args([GOAL, "-DincludeScope=runtime"]);
    process::run_quiet(maven.arg(output)).context("Maven cannot fetch Neo4j")?;
    let found = cache::sha256(listed(&jars)?.as_bytes());
    ensure!(
        found == SHA256,
        "Neo4j's jars are not those that were pinned: sha256 of their list is {found}, expected {SHA256}. \
         Either an artifact was changed where it came from, or something broke it on the way: empty Maven's \
         local repository of org/neo4j and run again; if that does not help, do not use them"
    );
    cache::write(&to.join(PIN), SHA256.as_bytes(), 0o644)
}

/// A line `NAME SHA-256` for each file, by name.
fn listed(dir: &Path) -> Result<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        lines.push(format!("{name} {}\n", cache::sha256_file(&path)?));
    }
    lines.sort();
    Ok(lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_changes_with_any_byte_and_name() {
        let dir = std::env::temp_dir().join(format!("docmill-neo4j-list-{}", std::process::id()));
        for (name, content) in [("b.jar", "2"), ("a.jar", "1")] {
            cache::write(&dir.join(name), content.as_bytes(), 0o644).unwrap();
        }
        let before = listed(&dir).unwrap();
        assert!(before.starts_with("a.jar ") && before.lines().count() == 2);
        cache::write(&dir.join("a.jar"), b"3", 0o644).unwrap();
        assert_ne!(listed(&dir).unwrap(), before);
        fs::remove_dir_all(&dir).unwrap();
    }
}
