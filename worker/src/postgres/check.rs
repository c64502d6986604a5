//! What is wrong with a server, said before it hurts: a pure decision over facts, and the few statements
//! that gather them.

use serde::Serialize;

use super::{Database, Error, SCHEMA_VERSION};
pub use crate::finding::{Finding, Severity};

/// Oldest server that is supported, as it numbers itself.
const SERVER_MIN: i32 = 150_000;
/// Oldest pgvector with HNSW indexes.
const VECTOR_MIN: (u32, u32) = (0, 5);
/// Oldest pgvector whose scans go on until a filter has let enough rows through.
const VECTOR_GOOD: (u32, u32) = (0, 8);

/// What the server is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// It holds the vectors.
    pub vectors: bool,
    /// Processes that will each fill their pool.
    pub processes: u32,
}

/// What was found out about a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Whether we speak to it with TLS.
    pub tls: bool,
    /// Whether it is on this machine, where nobody listens on the way.
    pub local: bool,
    /// The server's number of its version: 160014 is 16.14.
    pub server_version: i32,
    /// The database's encoding.
    pub encoding: String,
    /// Whether it is a standby, which takes no writes.
    pub standby: bool,
    /// Whether writes reach the disk at all.
    pub fsync: bool,
    /// Whether torn pages are repaired after a power cut.
    pub full_page_writes: bool,
    /// When a commit is answered.
    pub synchronous_commit: String,
    /// Connections that roles like ours may have in all.
    pub connections: i32,
    /// Connections of a process.
    pub pool_size: u32,
    /// Version of pgvector in the database.
    pub vector_installed: Option<String>,
    /// Version of pgvector that the database could have.
    pub vector_available: Option<String>,
    /// Whether its types are found without naming its schema.
    pub vector_in_path: bool,
    /// The role.
    pub role: String,
    /// The schema of our tables.
    pub schema: String,
    /// Whether it is there.
    pub schema_exists: bool,
    /// Whether the role may make schemas.
    pub may_make_schemas: bool,
    /// Whether the role may look into the schema.
    pub may_use_schema: bool,
    /// Whether it may make tables there.
    pub may_make_tables: bool,
    /// Our tables in it that the role may not read and write.
    pub tables_refused: Vec<String>,
    /// Version of our tables; none where there are none or they cannot be read.
    pub schema_version: Option<i32>,
}

/// Judges the facts; the worst comes first.
pub fn findings(facts: &Facts, needs: &Needs) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut find = |severity, what: String, what_to_do: String| {
        found.push(Finding::new(severity, what, what_to_do));
    };
    use Severity::{Error, Warning};
    let (role, schema) = (&facts.role, &facts.schema);
    if facts.server_version < SERVER_MIN {
        let (major, minor) = (facts.server_version / 10_000, facts.server_version % 10_000);
        find(
            Error,
            format!("the server is PostgreSQL {major}.{minor}"),
            "use PostgreSQL 15 or newer; 16 is what it is tested with".into(),
        );
    }
    if facts.encoding != "UTF8" {
        find(
            Error,
            format!("the database's encoding is {}", facts.encoding),
            "create the database with ENCODING 'UTF8'".into(),
        );
    }
    if facts.standby {
        find(
            Error,
            "the server is a standby and takes no writes".into(),
            "name the primary in the url".into(),
        );
    }
    if !facts.fsync {
        find(
            Error,
            "fsync is off: a crash of the machine destroys the database".into(),
            "set fsync = on and restart the server".into(),
        );
    }
    if !facts.full_page_writes {
        find(
            Error,
            "full_page_writes is off: a power cut may leave torn pages".into(),
            "set full_page_writes = on, unless the file system writes whole pages".into(),
        );
    }
    if facts.synchronous_commit == "off" {
        find(
            Error,
            "synchronous_commit is off: commits that were answered may be lost".into(),
            format!("ALTER ROLE {role} SET synchronous_commit = on, or set it for the server"),
        );
    }
    rights(facts, &mut find);
    if let Some(version) = facts.schema_version.filter(|version| *version > SCHEMA_VERSION) {
        find(
            Error,
            format!("schema {schema} has version {version}, this docmill knows {SCHEMA_VERSION}"),
            "use the newer docmill".into(),
        );
    }
    if needs.vectors {
        pgvector(facts, &mut find);
    }
    let wanted = u64::from(needs.processes) * u64::from(facts.pool_size);
    if wanted > u64::try_from(facts.connections).unwrap_or(0) {
        find(
            Warning,
            format!("{wanted} connections may be wanted, the server allows {}", facts.connections),
            "raise max_connections, lower pool_size, or put a session pooler between".into(),
        );
    }
    let encrypt = "give the server a certificate, and name its authority in ledger.postgres.tlsCaFile";
    found.extend(Finding::unencrypted(facts.tls, facts.local, encrypt));
    found.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    found
}

fn rights(facts: &Facts, find: &mut impl FnMut(Severity, String, String)) {
    let (role, schema) = (&facts.role, &facts.schema);
    if !facts.schema_exists {
        if !facts.may_make_schemas {
            find(
                Severity::Error,
                format!("there is no schema {schema} and role {role} may not make one"),
                format!("CREATE SCHEMA {schema} AUTHORIZATION {role}"),
            );
        }
        return;
    }
    if !facts.may_use_schema {
        find(
            Severity::Error,
            format!("role {role} may not use schema {schema}"),
            format!("GRANT USAGE, CREATE ON SCHEMA {schema} TO {role}"),
        );
    } else if !facts.may_make_tables {
        // Also later: each index has a table of vectors of its own.
        find(
            Severity::Error,
            format!("role {role} may not make tables in schema {schema}"),
            format!("GRANT CREATE ON SCHEMA {schema} TO {role}"),
        );
    }
    if !facts.tables_refused.is_empty() {
        find(
            Severity::Error,
            format!("role {role} may not read and write {}", facts.tables_refused.join(", ")),
            format!("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role}"),
        );
    }
}

fn pgvector(facts: &Facts, find: &mut impl FnMut(Severity, String, String)) {
    let Some(installed) = &facts.vector_installed else {
        let what_to_do = match &facts.vector_available {
            Some(_) => "CREATE EXTENSION vector, as a superuser, in this database".to_owned(),
            None => "install pgvector on the server, then CREATE EXTENSION vector".to_owned(),
        };
        find(Severity::Error, "the database has no pgvector".to_owned(), what_to_do);
        return;
    };
    if !facts.vector_in_path {
        find(
            Severity::Error,
            "pgvector is in a schema that is not looked into".to_owned(),
            "ALTER EXTENSION vector SET SCHEMA public".to_owned(),
        );
    }
    match version_of(installed) {
        Some(version) if version < VECTOR_MIN => find(
            Severity::Error,
            format!("pgvector is {installed} and has no HNSW index"),
            "ALTER EXTENSION vector UPDATE, to 0.5 or newer".to_owned(),
        ),
        Some(version) if version < VECTOR_GOOD => find(
            Severity::Warning,
            format!("pgvector is {installed}: filtered searches may find too few"),
            "ALTER EXTENSION vector UPDATE, to 0.8 or newer".to_owned(),
        ),
        Some(_) => {}
        None => find(
            Severity::Warning,
            format!("the version of pgvector, {installed:?}, is not understood"),
            "check that it is 0.5 or newer".to_owned(),
        ),
    }
}

fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Asks the server. Needs no rights beyond connecting.
pub(super) async fn gather(database: &Database) -> Result<Facts, Error> {
    let client = database.client().await?;
    let schema = database.schema.as_str();
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::integer AS server_version,
                    (SELECT pg_encoding_to_char(encoding)::text FROM pg_catalog.pg_database
                      WHERE datname = current_database()) AS encoding,
                    pg_is_in_recovery() AS standby,
                    current_setting('fsync')::boolean AS fsync,
                    current_setting('full_page_writes')::boolean AS full_page_writes,
                    current_setting('synchronous_commit') AS synchronous_commit,
                    current_setting('max_connections')::integer
                      - current_setting('superuser_reserved_connections')::integer AS connections,
                    (SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'vector') AS vector_installed,
                    (SELECT default_version::text FROM pg_catalog.pg_available_extensions
                      WHERE name = 'vector') AS vector_available,
                    EXISTS(SELECT 1 FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n
                      ON n.oid = e.extnamespace WHERE e.extname = 'vector' AND n.nspname IN ($1, 'public'))
                      AS vector_in_path,
                    current_user::text AS role,
                    has_database_privilege(current_database(), 'CREATE') AS may_make_schemas",
            &[&schema],
        )
        .await?;
    let of_schema = client
        .query_opt(
            "SELECT has_schema_privilege(n.oid, 'USAGE') AS may_use, has_schema_privilege(n.oid, 'CREATE') AS may_make,
                    (SELECT coalesce(array_agg(c.relname::text ORDER BY c.relname), '{}')
                     FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND c.relkind = 'r'
                       AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
                            AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE')))
                      AS refused,
                    EXISTS(SELECT 1 FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid
                             AND c.relname = 'versions' AND has_table_privilege(c.oid, 'SELECT')) AS has_versions
             FROM pg_catalog.pg_namespace n WHERE n.nspname = $1",
            &[&schema],
        )
        .await?;
    let mut facts = Facts {
        tls: database.tls,
        local: database.local,
        server_version: row.try_get("server_version")?,
        encoding: row.try_get("encoding")?,
        standby: row.try_get("standby")?,
        fsync: row.try_get("fsync")?,
        full_page_writes: row.try_get("full_page_writes")?,
        synchronous_commit: row.try_get("synchronous_commit")?,
        connections: row.try_get("connections")?,
        pool_size: u32::try_from(database.pool.status().max_size).unwrap_or(u32::MAX),
        vector_installed: row.try_get("vector_installed")?,
        vector_available: row.try_get("vector_available")?,
        vector_in_path: row.try_get("vector_in_path")?,
        role: row.try_get("role")?,
        schema: schema.to_owned(),
        schema_exists: of_schema.is_some(),
        may_make_schemas: row.try_get("may_make_schemas")?,
        may_use_schema: false,
        may_make_tables: false,
        tables_refused: Vec::new(),
        schema_version: None,
    };
    if let Some(of_schema) = of_schema {
        facts.may_use_schema = of_schema.try_get("may_use")?;
        facts.may_make_tables = of_schema.try_get("may_make")?;
        facts.tables_refused = of_schema.try_get("refused")?;
        if facts.may_use_schema && of_schema.try_get("has_versions")? {
            let sql = format!("SELECT max(version) FROM {}.versions", database.schema.quoted());
            facts.schema_version = client.query_one(&sql, &[]).await?.try_get(0)?;
        }
    }
    Ok(facts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: Needs = Needs { vectors: true, processes: 4 };

    fn good() -> Facts {
        Facts {
            tls: false,
            local: true,
            server_version: 160_014,
            encoding: "UTF8".into(),
            standby: false,
            fsync: true,
            full_page_writes: true,
            synchronous_commit: "on".into(),
            connections: 97,
            pool_size: 8,
            vector_installed: Some("0.8.5".into()),
            vector_available: Some("0.8.5".into()),
            vector_in_path: true,
            role: "docmill".into(),
            schema: "docmill".into(),
            schema_exists: true,
            may_make_schemas: false,
            may_use_schema: true,
            may_make_tables: true,
            tables_refused: Vec::new(),
            schema_version: Some(SCHEMA_VERSION),
        }
    }

    #[test]
    fn a_good_server_has_no_findings() {
        assert_eq!(findings(&good(), &NEEDS), []);
        let fresh = Facts { schema_exists: false, may_make_schemas: true, may_use_schema: false, ..good() };
        assert_eq!(findings(&fresh, &NEEDS), []);
        assert_eq!(findings(&Facts { tls: true, local: false, ..good() }, &NEEDS), []);
        assert_eq!(findings(&Facts { server_version: 150_000, ..good() }, &NEEDS), []);
        let without = Facts { vector_installed: None, ..good() };
        assert_eq!(findings(&without, &Needs { vectors: false, ..NEEDS }), []);
    }

    #[test]
    fn each_fault_has_one_finding() {
        let cases = [
            (Facts { local: false, ..good() }, Severity::Warning, "unencrypted"),
            (Facts { server_version: 140_018, ..good() }, Severity::Error, "PostgreSQL 14.18"),
            (Facts { encoding: "SQL_ASCII".into(), ..good() }, Severity::Error, "encoding"),
            (Facts { standby: true, ..good() }, Severity::Error, "standby"),
            (Facts { fsync: false, ..good() }, Severity::Error, "fsync"),
            (Facts { full_page_writes: false, ..good() }, Severity::Error, "torn"),
            (Facts { synchronous_commit: "off".into(), ..good() }, Severity::Error, "synchronous_commit"),
            (Facts { vector_installed: None, ..good() }, Severity::Error, "no pgvector"),
            (Facts { vector_in_path: false, ..good() }, Severity::Error, "not looked into"),
            (Facts { vector_installed: Some("0.4.4".into()), ..good() }, Severity::Error, "HNSW"),
            (Facts { vector_installed: Some("0.7.4".into()), ..good() }, Severity::Warning, "too few"),
            (Facts { vector_installed: Some("x".into()), ..good() }, Severity::Warning, "not understood"),
            (Facts { schema_exists: false, ..good() }, Severity::Error, "may not make one"),
            (Facts { may_use_schema: false, ..good() }, Severity::Error, "may not use"),
            (Facts { may_make_tables: false, ..good() }, Severity::Error, "may not make tables"),
            (Facts { tables_refused: vec!["workers".into()], ..good() }, Severity::Error, "workers"),
            (Facts { schema_version: Some(99), ..good() }, Severity::Error, "version 99"),
            (Facts { pool_size: 50, ..good() }, Severity::Warning, "200 connections"),
        ];
        for (facts, severity, part) in cases {
            let found = findings(&facts, &NEEDS);
            assert_eq!(found.len(), 1, "{part}: {found:?}");
            assert_eq!(found[0].severity, severity);
            assert!(found[0].what.contains(part), "{found:?}");
            assert!(!found[0].what_to_do.is_empty());
        }
    }

    #[test]
    fn the_worst_comes_first() {
        let found = findings(&Facts { pool_size: 50, fsync: false, ..good() }, &NEEDS);
        assert_eq!(
            found.iter().map(|f| f.severity).collect::<Vec<_>>(),
            [Severity::Error, Severity::Warning]
        );
    }
}
