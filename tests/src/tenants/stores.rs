//! Looks into every server for rows that have got to the wrong tenant: by their words, and by what they are joined
//! to. A table that nobody has said the owner of is an error, so that a new one is not forgotten.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use docmill_core::id::TenantId;
use docmill_worker::cache::CacheKey;
use docmill_worker::embed::Mock;
use redis::{Connection, Value};

use super::scan::{Found, Scanner};
use super::town::Town;
use crate::services::neo4j::told;

/// Tables without a tenant, with how many rows join two tenants; nothing where rows name none.
const JOINED: &[(&str, &str)] = &[
    (
        "manifests",
        "SELECT count(*) FROM manifests m JOIN manifest_entries e USING (manifest) JOIN documents d USING (document)
           JOIN chunks c ON c.chunk = e.chunk WHERE c.tenant <> d.tenant OR c.document <> d.document",
    ),
    (
        "manifest_entries",
        "SELECT count(*) FROM manifest_entries e JOIN manifests m USING (manifest)
           JOIN documents d ON d.document = m.document JOIN evidence v ON v.chunk = e.chunk
          WHERE v.tenant <> d.tenant",
    ),
    (
        "batch_documents",
        "SELECT count(*) FROM batch_documents JOIN batches b USING (batch) JOIN documents d USING (document)
          WHERE b.tenant <> d.tenant",
    ),
    (
        "mentions",
        "SELECT count(*) FROM mentions JOIN evidence e USING (chunk) JOIN concepts c USING (concept)
          WHERE e.tenant <> c.tenant",
    ),
    (
        "cleanups",
        "SELECT count(*) FROM cleanups u JOIN documents d USING (document) JOIN chunks c ON c.chunk = ANY(u.chunks)
          WHERE c.tenant <> d.tenant",
    ),
    ("kept_pages", "SELECT 0::bigint"),
    ("workers", "SELECT 0::bigint"),
    ("counters", "SELECT 0::bigint"),
    ("versions", "SELECT 0::bigint"),
    ("told", "SELECT 0::bigint"),
];
/// Tables with a tenant and a document, which has to be the tenant's.
const OF_DOCUMENTS: &[&str] = &["chunks", "vectors", "evidence", "sources"];

/// What must not be where.
#[derive(Clone)]
pub struct Wanted {
    /// Words and ids of the others, by the tenant that must not have them.
    pub foreign: BTreeMap<String, Scanner>,
    /// Words of any tenant.
    pub anyones: Scanner,
    /// Secrets.
    pub secrets: Scanner,
}

/// What was found in a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// Rows that are at the wrong tenant.
    pub foreign: u64,
    /// Secrets.
    pub secrets: Found,
    /// Rows that were looked at.
    pub rows: u64,
    /// Some of what was found.
    pub examples: Vec<String>,
}

impl Look {
    /// Looks at something that belongs to a tenant, or to nobody.
    pub fn at(&mut self, wanted: &Wanted, what: &str, owner: Option<&str>, text: &[u8]) {
        self.rows += 1;
        let found = match owner {
            Some(owner) => match wanted.foreign.get(owner) {
                Some(scanner) => scanner.names_in(text),
                // A tenant that nobody made.
                None => BTreeSet::from([format!("tenant {owner:?}")]),
            },
            None => wanted.anyones.names_in(text),
        };
        if !found.is_empty() {
            self.foreign += 1;
            self.example(format!("{what} of {owner:?} has {found:?}"));
        }
        self.secrets(wanted, what, text);
    }

    /// Looks for secrets alone.
    pub fn secrets(&mut self, wanted: &Wanted, what: &str, text: &[u8]) {
        for (name, count) in wanted.secrets.count(text) {
            self.example(format!("{what} has the {name}"));
            *self.secrets.entry(name).or_default() += count;
        }
    }

    fn joined(&mut self, what: &str, rows: i64) {
        let rows = u64::try_from(rows).unwrap_or(0);
        if rows > 0 {
            self.example(format!("{rows} rows of {what} join two tenants"));
        }
        self.foreign += rows;
    }

    fn example(&mut self, text: String) {
        const EXAMPLES_MAX: usize = 10;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(text);
        }
    }
}

/// All tables of the ledger's schema.
///
/// # Errors
/// The server does not answer, or there is a table that nobody knows the owner of.
pub async fn postgres(town: &Town, wanted: &Wanted) -> Result<Look> {
    let (look, mut seen) = (&town.look, Look::default());
    let tables =
        "SELECT t.table_name::text, bool_or(c.column_name = 'tenant') FROM information_schema.tables t
        JOIN information_schema.columns c USING (table_schema, table_name)
        WHERE t.table_schema = $1 AND t.table_type = 'BASE TABLE' GROUP BY 1 ORDER BY 1";
    for row in look.rows(tables, &[&town.ledger.schema.as_str()]).await? {
        let (table, has_tenant): (String, bool) = (row.try_get(0)?, row.try_get(1)?);
        let tenant = if has_tenant { "t.tenant" } else { "NULL::text" };
        let statement = match table.as_str() {
            "kept_pages" => {
                "SELECT d.tenant, t::text FROM kept_pages t JOIN documents d USING (document)".to_owned()
            }
            _ => format!("SELECT {tenant}, t::text FROM {table} t"),
        };
        if !has_tenant {
            let Some((_, joined)) = JOINED.iter().find(|(name, _)| *name == table) else {
                bail!("whose are the rows of {table}? say it in the tenants' proof");
            };
            seen.joined(&table, look.number(joined).await?);
        }
        if OF_DOCUMENTS.contains(&table.as_str()) {
            let statement = format!(
                "SELECT count(*) FROM {table} t JOIN documents d USING (document) WHERE t.tenant <> d.tenant"
            );
            seen.joined(&table, look.number(&statement).await?);
        }
        for row in look.rows(&statement, &[]).await? {
            let (owner, text): (Option<String>, String) = (row.try_get(0)?, row.try_get(1)?);
            seen.at(wanted, &table, owner.as_deref(), text.as_bytes());
        }
    }
    Ok(seen)
}

/// All nodes of the graph, and its relations from one tenant to another.
///
/// # Errors
/// The server does not answer.
pub async fn neo4j(town: &Town, wanted: &Wanted) -> Result<Look> {
    let mut seen = Look::default();
    let database = docmill_worker::neo4j::Database::connect(&town.graph).await?;
    let nodes = "MATCH (n) RETURN coalesce(n.tenant_id, ''), labels(n)[0], coalesce(toString(n.id), ''),
        coalesce(n.canonical_name, ''), coalesce(n.display, ''), coalesce(toString(n.document), '')";
    let mut tenants: BTreeMap<String, String> = BTreeMap::new();
    for row in town.look.rows("SELECT document::text, tenant FROM documents", &[]).await? {
        tenants.insert(row.try_get(0)?, row.try_get(1)?);
    }
    for row in told(&database, nodes).await {
        let [tenant, label, rest @ ..] = row.as_slice() else { bail!("a node without values") };
        let document = rest.last().filter(|document| !document.is_empty());
        if document.is_some_and(|document| tenants.get(document) != Some(tenant)) {
            seen.joined("nodes", 1);
        }
        // Nodes that keep account of the schema are nobody's.
        let owner = Some(tenant.as_str()).filter(|tenant| !tenant.is_empty());
        seen.at(wanted, label, owner, rest.join("\n").as_bytes());
    }
    let crossing = "MATCH (a)-[r]->(b) WHERE a.tenant_id <> b.tenant_id RETURN count(r)";
    let crossing = told(&database, crossing).await;
    seen.joined("relations", crossing.first().and_then(|row| row.first()).context("a number")?.parse()?);
    Ok(seen)
}

/// All keys and values of the cache: it holds vectors by hashes, and nobody's words. Says besides for how many texts
/// both tenants have an entry, each its own: with the tenant in the name of an entry, nobody is given what another
/// paid for, and nobody learns from a fast answer what another has. An entry of two tenants joins them.
///
/// # Errors
/// A server does not answer.
pub async fn cache(town: &Town, wanted: &Wanted) -> Result<(Look, u64)> {
    let mut admin = town.cache.admin();
    let mut seen = redis(&mut admin, wanted)?;
    let kept: Vec<String> = redis::cmd("KEYS").arg("extraction:*").query(&mut admin)?;
    let kept: BTreeSet<String> = kept.into_iter().collect();
    let mut by_text: BTreeMap<String, BTreeSet<CacheKey>> = BTreeMap::new();
    let mut tenants: BTreeMap<CacheKey, BTreeSet<String>> = BTreeMap::new();
    for row in town.look.rows("SELECT DISTINCT tenant, text FROM chunks", &[]).await? {
        let (tenant, text): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        let key = CacheKey::new(&TenantId::new(tenant.as_str())?, Mock::FINGERPRINT, "", &text);
        if kept.contains(key.as_str()) {
            by_text.entry(text).or_default().insert(key.clone());
            tenants.entry(key).or_default().insert(tenant);
        }
    }
    let joining = tenants.values().filter(|tenants| tenants.len() > 1).count();
    seen.joined("the cache", joining as i64);
    Ok((seen, by_text.values().filter(|keys| keys.len() > 1).count() as u64))
}

/// All keys and values of a Redis that has no words of anybody's: the queue holds pointers.
///
/// # Errors
/// The server does not answer.
pub fn redis(admin: &mut Connection, wanted: &Wanted) -> Result<Look> {
    let mut seen = Look::default();
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query(admin)?;
    for key in keys {
        let kind: String = redis::cmd("TYPE").arg(&key).query(admin)?;
        let value: Value = match kind.as_str() {
            "string" => redis::cmd("GET").arg(&key).query(admin)?,
            "hash" => redis::cmd("HGETALL").arg(&key).query(admin)?,
            "zset" => redis::cmd("ZRANGE").arg(&key).arg(0).arg(-1).query(admin)?,
            "set" => redis::cmd("SMEMBERS").arg(&key).query(admin)?,
            "list" => redis::cmd("LRANGE").arg(&key).arg(0).arg(-1).query(admin)?,
            "stream" => redis::cmd("XRANGE").arg(&key).arg("-").arg("+").query(admin)?,
            // It was there, and is gone.
            "none" => Value::Nil,
            other => bail!("{key} is a {other}, which is not looked into"),
        };
        let mut text = key.clone().into_bytes();
        flatten(&value, &mut text);
        seen.at(wanted, &key, None, &text);
    }
    Ok(seen)
}

fn flatten(value: &Value, into: &mut Vec<u8>) {
    match value {
        Value::BulkString(bytes) => into.extend([b"\n", bytes.as_slice()].concat()),
        Value::SimpleString(text) => into.extend(format!("\n{text}").bytes()),
        Value::Array(values) | Value::Set(values) => values.iter().for_each(|value| flatten(value, into)),
        Value::Map(pairs) => pairs.iter().for_each(|(name, value)| {
            flatten(name, into);
            flatten(value, into);
        }),
        other => into.extend(format!("\n{other:?}").bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        let scanner = |words: &[(&str, &str)]| Scanner::new(words.iter().copied()).unwrap();
        Wanted {
            foreign: [
                ("north".to_owned(), scanner(&[("south's", "southkelp")])),
                ("south".to_owned(), scanner(&[("north's", "northkelp")])),
            ]
            .into(),
            anyones: scanner(&[("north's", "northkelp"), ("south's", "southkelp")]),
            secrets: scanner(&[("password", "canary-0123456789")]),
        }
    }

    #[test]
    fn what_is_planted_is_counted() {
        let (wanted, mut look) = (wanted(), Look::default());
        look.at(&wanted, "documents", Some("north"), b"northkelp");
        look.at(&wanted, "documents", Some("south"), b"southkelp and others");
        assert_eq!((look.foreign, look.rows), (0, 2));
        look.at(&wanted, "documents", Some("north"), b"{\"title\": \"Southkelp\"}");
        look.at(&wanted, "documents", Some("west"), b"nothing");
        look.at(&wanted, "queued", None, b"northkelp");
        assert_eq!(look.foreign, 3, "{:?}", look.examples);
        look.secrets(&wanted, "a log", b"password=canary-0123456789");
        assert_eq!(look.secrets, [("password".to_owned(), 1)].into());
    }

    #[test]
    fn every_value_of_the_queue_is_read() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let value = Value::Array(vec![
            text("a"),
            Value::Map(vec![(text("b"), Value::Array(vec![text("c")]))]),
            Value::Int(7),
        ]);
        let mut flat = Vec::new();
        flatten(&value, &mut flat);
        assert_eq!(flat, b"\na\nb\nc\nint(7)");
    }
}
