//! Asks every server what it holds, by statements of the harness' own.

use anyhow::{Context, Result};
use docmill_worker::neo4j;
use redis::Connection;

use super::judge::{Seen, SeenDocument, SeenEntry, SeenEvidence};
use super::look::Look;
use crate::services::neo4j::told;
use crate::services::redis::prefix;

/// Bits of the stores of an entry.
const VECTOR: i16 = 2;
const GRAPH: i16 = 4;

/// Entries of the queue, of any kind: waiting, leased or delayed.
///
/// # Errors
/// Redis does not answer.
pub fn queue_entries(admin: &mut Connection) -> Result<u64> {
    let key = |name: &str| format!("{{{}}}:{name}", prefix().as_str());
    let mut entries = 0;
    for lane in ["small", "large"] {
        entries += redis::cmd("XLEN").arg(key(lane)).query::<u64>(admin)?;
        entries += redis::cmd("XLEN").arg(key(&format!("{lane}:again"))).query::<u64>(admin)?;
        entries += redis::cmd("ZCARD").arg(key(&format!("{lane}:delayed"))).query::<u64>(admin)?;
    }
    Ok(entries)
}

/// Everything, where documents have the URIs `prefix` + key.
///
/// # Errors
/// A server does not answer.
pub async fn gather(
    look: &Look,
    graph: &neo4j::Database,
    admin: &mut Connection,
    root: &str,
) -> Result<Seen> {
    let mut seen = Seen { queue: queue_entries(admin)?, ..Seen::default() };
    let documents =
        "SELECT document::text, uri, state, coalesce(encode(content, 'hex'), ''), failure FROM documents";
    for row in look.rows(documents, &[]).await? {
        let (uri, failure): (String, Option<String>) = (row.try_get(1)?, row.try_get(4)?);
        let code = |text: String| -> Result<String> {
            let failure: serde_json::Value = serde_json::from_str(&text)?;
            Ok(failure["code"].as_str().unwrap_or_default().to_owned())
        };
        seen.documents.push(SeenDocument {
            id: row.try_get(0)?,
            key: uri
                .strip_prefix(root)
                .or_else(|| uri.strip_prefix("upload:"))
                .with_context(|| format!("{uri} is none of ours"))?
                .to_owned(),
            state: row.try_get(2)?,
            content: row.try_get(3)?,
            failure: failure.map(code).transpose()?,
        });
    }
    let entries =
        "SELECT m.document::text, e.chunk::text, encode(e.text_hash, 'hex'), e.occurrence, e.stores
                   FROM manifests m JOIN manifest_entries e USING (manifest) WHERE m.replaced_by IS NULL";
    for row in look.rows(entries, &[]).await? {
        let stores: i16 = row.try_get(4)?;
        seen.entries.push(SeenEntry {
            document: row.try_get(0)?,
            chunk: row.try_get(1)?,
            text: (row.try_get(2)?, row.try_get(3)?),
            vector: stores & VECTOR != 0,
            graph: stores & GRAPH != 0,
        });
    }
    for row in look.rows("SELECT chunk::text, text FROM chunks", &[]).await? {
        seen.texts.insert(row.try_get(0)?, row.try_get(1)?);
    }
    for row in look.rows("SELECT chunk::text FROM vectors", &[]).await? {
        seen.vectors.push(row.try_get(0)?);
    }
    let evidence = "MATCH (c:Chunk) OPTIONAL MATCH (c)-[m:MENTIONS]->(k:CanonicalConcept)
                    RETURN c.id, count(m), count(DISTINCT k)";
    for row in told(graph, evidence).await {
        let [chunk, mentions, concepts] = row.as_slice() else { anyhow::bail!("three values: {row:?}") };
        let (mentions, concepts) = (mentions.parse()?, concepts.parse()?);
        seen.evidence.push(SeenEvidence { chunk: chunk.clone(), mentions, concepts });
    }
    seen.concepts_twice = one(
        graph,
        "MATCH (k:CanonicalConcept) WITH k.tenant_id AS t, k.canonical_name AS n, count(*) AS c
         WHERE c > 1 RETURN count(*)",
    )
    .await?;
    seen.concepts_loose =
        one(graph, "MATCH (k:CanonicalConcept) WHERE NOT (k)<-[:MENTIONS]-() RETURN count(k)").await?;
    Ok(seen)
}

async fn one(graph: &neo4j::Database, statement: &str) -> Result<u64> {
    let rows = told(graph, statement).await;
    Ok(rows.first().and_then(|row| row.first()).context("one number")?.parse()?)
}
