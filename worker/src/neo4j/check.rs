//! What is wrong with a server, said before it hurts: a pure decision over facts, and the few statements
//! that gather them.

use serde::Serialize;

use super::bolt::{Access, Value, map};
use super::memory::Memory;
use super::pool::Transaction;
use super::{Database, Error, SCHEMA_VERSION, schema};
use crate::finding::{Finding, Severity, is_this_machine};

/// Oldest server that is supported.
const SERVER_MIN: (u32, u32) = (5, 0);
/// Below this a heap does not last for the batches of one worker.
const HEAP_MIN: u64 = 256 << 20;
/// Below this a page cache is the start-up's own.
const PAGE_CACHE_MIN: u64 = 32 << 20;

/// What was found out about a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Its version, as `5.26.0`.
    pub version: String,
    /// `community` or `enterprise`.
    pub edition: String,
    /// The database that we are in.
    pub database: String,
    /// Whether we speak to it with TLS.
    pub tls: bool,
    /// Whether it is on this machine, where nobody listens on the way.
    pub local: bool,
    /// Whether the user may write.
    pub may_write: bool,
    /// Whether the user may make constraints.
    pub may_make_constraints: bool,
    /// Version of our graph; none where there is none.
    pub schema_version: Option<i64>,
    /// The memory in force.
    pub memory: Memory,
}

/// Judges the facts; the worst comes first.
pub fn findings(facts: &Facts) -> Vec<Finding> {
    use Severity::{Error, Unknown, Warning};
    let mut found = Vec::new();
    let mut find = |severity, what: String, what_to_do: &str| {
        found.push(Finding::new(severity, what, what_to_do));
    };
    match version_of(&facts.version) {
        Some(version) if version < SERVER_MIN => find(
            Error,
            format!("the server is Neo4j {}", facts.version),
            "use Neo4j 5 or newer; 5.26 is what it is tested with",
        ),
        Some(_) => {}
        None => find(
            Warning,
            format!("the version of the server, {:?}, is not understood", facts.version),
            "check that it is Neo4j 5 or newer",
        ),
    }
    if facts.database == "system" {
        find(
            Error,
            "the database is system, which holds no data".to_owned(),
            "name another in graph.neo4j.database; Community has one, called neo4j",
        );
    }
    if !facts.may_write {
        find(
            Error,
            "the user may not write".to_owned(),
            "give it the role publisher, and look whether the database is read only",
        );
    }
    if !facts.may_make_constraints && facts.schema_version != Some(SCHEMA_VERSION) {
        find(
            Error,
            "the user may not make the constraints, and they are not there".to_owned(),
            "give it the role architect, at least for the first start",
        );
    }
    if let Some(version) = facts.schema_version.filter(|version| *version > SCHEMA_VERSION) {
        find(
            Error,
            format!("the graph has version {version}, this docmill knows {SCHEMA_VERSION}"),
            "use the newer docmill",
        );
    }
    memory(&facts.memory, &mut find);
    if facts.memory.heap_bytes.is_none() {
        find(
            Unknown,
            "the heap in force cannot be asked".to_owned(),
            "let the user run dbms.queryJmx, or look at server.memory.heap.max_size",
        );
    }
    let encrypt = "begin the url with bolt+s, once the server has a certificate";
    found.extend(Finding::unencrypted(facts.tls, facts.local, encrypt));
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    found
}

fn memory(memory: &Memory, find: &mut impl FnMut(Severity, String, &str)) {
    let mib = |bytes: u64| bytes >> 20;
    if let Some(heap) = memory.heap_bytes.filter(|heap| *heap < HEAP_MIN / 10 * 9) {
        find(
            Severity::Warning,
            format!("the heap is {} MiB", mib(heap)),
            "raise server.memory.heap.max_size to a quarter of the server's memory",
        );
    }
    if let (Some(heap), Some(set)) = (memory.heap_bytes, memory.heap_set_bytes)
        // The collector keeps a part for itself and does not count it.
        && (heap < set / 4 * 3 || heap / 4 * 3 > set)
    {
        find(
            Severity::Warning,
            format!("the heap is set to {} MiB, and {} MiB are in force", mib(set), mib(heap)),
            "start the server by its own launcher, or give -Xms and -Xmx too",
        );
    }
    if let Some(cache) = memory.page_cache_bytes.filter(|cache| *cache < PAGE_CACHE_MIN) {
        find(
            Severity::Warning,
            format!("the page cache is {} MiB", mib(cache)),
            "raise server.memory.pagecache.size to half of the server's memory",
        );
    }
}

fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(['.', '-', '+']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Asks the server. What the user may not ask is left out.
pub(super) async fn gather(database: &Database) -> Result<Facts, Error> {
    let address = database.pool.connector().options().address()?;
    let local = is_this_machine(&address.host);
    let mut facts = Facts {
        version: String::new(),
        edition: String::new(),
        database: String::new(),
        tls: address.tls,
        local,
        may_write: true,
        may_make_constraints: true,
        schema_version: None,
        memory: Memory::default(),
    };
    let components =
        undone(database, "CALL dbms.components() YIELD versions, edition RETURN versions[0], edition");
    match components.await? {
        Ok((rows, server)) => {
            let text = |n: usize| rows.first().and_then(|row| row.get(n)).and_then(Value::text);
            let named = || server.strip_prefix("Neo4j/").unwrap_or(&server).to_owned();
            facts.version = text(0).map_or_else(named, str::to_owned);
            facts.edition = text(1).unwrap_or_default().to_owned();
        }
        Err(refused) => return Err(refused),
    }
    if let Ok((rows, _)) = undone(database, "CALL db.info() YIELD name").await? {
        facts.database = rows.first().and_then(|row| row.first()?.text()).unwrap_or_default().to_owned();
    }
    facts.may_write = allowed(undone(database, "CREATE (n:DocmillCheck) RETURN 1").await?)?;
    let constraint =
        "CREATE CONSTRAINT docmill_check IF NOT EXISTS FOR (n:DocmillCheck) REQUIRE n.name IS UNIQUE";
    facts.may_make_constraints = allowed(undone(database, constraint).await?)?;
    let mut begun = database.pool.begin(Access::Read, database.pool.usual()).await?;
    let version = schema::version(&mut begun).await;
    begun.roll_back().await;
    facts.schema_version = version?;
    facts.memory = Memory::gather(database).await?;
    Ok(facts)
}

pub(super) type Told = (Vec<Vec<Value>>, String);

/// Runs a statement and undoes it. The inner error is the server's refusal of this statement.
pub(super) async fn undone(database: &Database, statement: &str) -> Result<Result<Told, Error>, Error> {
    let mut begun: Transaction<'_> = database.pool.begin(Access::Write, database.pool.usual()).await?;
    let server = begun.server().to_owned();
    let done = begun.run(statement, map([])).await;
    begun.roll_back().await;
    match done {
        Ok(rows) => Ok(Ok((rows, server))),
        Err(error @ Error::Refused { .. }) => Ok(Err(error)),
        Err(error) => Err(error),
    }
}

/// Whether a statement was allowed. Refused for another reason than rights, it is the check that failed.
fn allowed(done: Result<Told, Error>) -> Result<bool, Error> {
    const READ_ONLY: &str = "ReadOnly";
    match done {
        Ok(_) => Ok(true),
        Err(error) if error.forbidden() => Ok(false),
        Err(Error::Refused { code, .. }) if code.contains(READ_ONLY) => Ok(false),
        // Somebody makes the same at this moment, so it may be made.
        Err(error) if error.met_another() => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD_MEMORY: Memory = Memory {
        heap_bytes: Some(512 << 20),
        heap_set_bytes: Some(512 << 20),
        page_cache_bytes: Some(256 << 20),
    };

    fn with(memory: Memory) -> Facts {
        Facts { memory, ..good() }
    }

    fn good() -> Facts {
        Facts {
            version: "5.26.30".into(),
            edition: "community".into(),
            database: "neo4j".into(),
            tls: false,
            local: true,
            may_write: true,
            may_make_constraints: true,
            schema_version: Some(SCHEMA_VERSION),
            memory: GOOD_MEMORY,
        }
    }

    #[test]
    fn a_good_server_has_no_findings() {
        assert_eq!(findings(&good()), []);
        assert_eq!(findings(&Facts { schema_version: None, version: "2026.08.1".into(), ..good() }), []);
        assert_eq!(findings(&Facts { may_make_constraints: false, tls: true, local: false, ..good() }), []);
    }

    #[test]
    fn each_fault_has_one_finding() {
        let cases = [
            (Facts { version: "4.4.40".into(), ..good() }, Severity::Error, "Neo4j 4.4"),
            (Facts { version: "x".into(), ..good() }, Severity::Warning, "not understood"),
            (Facts { database: "system".into(), ..good() }, Severity::Error, "system"),
            (Facts { local: false, ..good() }, Severity::Warning, "unencrypted"),
            (Facts { may_write: false, ..good() }, Severity::Error, "may not write"),
            (
                Facts { may_make_constraints: false, schema_version: None, ..good() },
                Severity::Error,
                "constraints",
            ),
            (Facts { schema_version: Some(99), ..good() }, Severity::Error, "version 99"),
            (
                with(Memory { heap_bytes: Some(100 << 20), heap_set_bytes: None, ..GOOD_MEMORY }),
                Severity::Warning,
                "100 MiB",
            ),
            (with(Memory { heap_set_bytes: Some(8 << 30), ..GOOD_MEMORY }), Severity::Warning, "in force"),
            (
                with(Memory { page_cache_bytes: Some(8 << 20), ..GOOD_MEMORY }),
                Severity::Warning,
                "page cache",
            ),
            (with(Memory { heap_bytes: None, ..GOOD_MEMORY }), Severity::Unknown, "cannot be asked"),
        ];
        for (facts, severity, part) in cases {
            let found = findings(&facts);
            let [finding] = &found[..] else { panic!("{part}: {found:?}") };
            assert_eq!(finding.severity, severity, "{part}");
            assert!(finding.what.contains(part), "{part}: {finding:?}");
        }
    }
}
