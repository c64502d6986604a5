//! Which chunks a search may show: one tenant's, one index's, and of those documents that the filter admits.

use std::collections::HashSet;

use docmill_core::id::{DocumentId, IndexId, TenantId};
use docmill_core::search::{Filter, PlanLimits};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

/// See the module.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub tenant: &'a TenantId,
    pub index: IndexId,
    /// `None`: there is no filter.
    pub admitted: Option<&'a Admitted>,
}

impl Scope<'_> {
    /// Whether the filter admits this document of the tenant.
    pub(super) fn holds(&self, document: &DocumentId) -> bool {
        self.admitted.is_none_or(|admitted| admitted.documents.contains(document))
    }
}

/// What a filter admits in one state of the ledger.
pub(super) struct Admitted {
    filter: Filter,
    /// Committed documents of the tenant.
    documents: HashSet<DocumentId>,
    /// Documents in the file, of all tenants.
    all: u64,
}

impl Admitted {
    /// `None` where the filter admits all.
    pub(super) fn of(
        connection: &Connection,
        tenant: &TenantId,
        filter: &Filter,
    ) -> rusqlite::Result<Option<Self>> {
        if filter.is_empty() {
            return Ok(None);
        }
        let (condition, values) = condition(filter, 2);
        let sql = format!(
            "SELECT d.document FROM documents d
             WHERE d.tenant = ?1 AND d.summary IS NOT NULL AND {condition}"
        );
        let values = std::iter::once(Value::Text(tenant.as_str().to_owned())).chain(values);
        let mut statement = connection.prepare_cached(&sql)?;
        let documents = statement
            .query_map(params_from_iter(values), |row| Ok(DocumentId::from_bytes(row.get(0)?)))?
            .collect::<rusqlite::Result<_>>()?;
        let all =
            connection.prepare_cached("SELECT count(*) FROM documents")?.query_row([], |row| row.get(0))?;
        Ok(Some(Self { filter: filter.clone(), documents, all }))
    }

    /// The filter in SQL, on a row `d` of `documents`, with parameters from this number on.
    pub(super) fn condition(&self, first: usize) -> (String, Vec<Value>) {
        condition(&self.filter, first)
    }

    /// A question may find as many more as the filter takes out again: only what it leaves is scored.
    pub(super) fn limits(&self) -> PlanLimits {
        let limits = PlanLimits::default();
        let left = u64::try_from(self.documents.len()).unwrap_or(u64::MAX).max(1);
        let wider = limits.scored_max.saturating_mul(self.all) / left;
        PlanLimits { scored_max: wider.clamp(limits.scored_max, limits.walked_max), ..limits }
    }
}

/// What [`Filter::admits`] says, in SQL.
fn condition(filter: &Filter, first: usize) -> (String, Vec<Value>) {
    let mut values: Vec<Value> = Vec::new();
    let mut parts: Vec<String> = Vec::new();
    let mut bind = |value: Value| {
        values.push(value);
        format!("?{}", first + values.len() - 1)
    };
    let mut one_of = |column: &str, list: Vec<Value>| {
        if !list.is_empty() {
            let list: Vec<String> = list.into_iter().map(&mut bind).collect();
            parts.push(format!("{column} IN ({})", list.join(", ")));
        }
    };
    let texts = |list: &[String]| -> Vec<Value> { list.iter().cloned().map(Value::Text).collect() };
    let ids = filter.documents.iter().map(|id| Value::Blob(id.as_bytes().to_vec()));
    one_of("d.document", ids.collect());
    one_of("d.category", texts(&filter.categories));
    one_of("d.media_type", texts(&filter.media_types));
    one_of("d.language", texts(&filter.languages));
    if let Some(prefix) = &filter.uri_prefix {
        let prefix = bind(Value::Text(prefix.clone()));
        parts.push(format!("instr(d.uri, {prefix}) = 1"));
    }
    let time = |ms: u64| Value::Integer(i64::try_from(ms).unwrap_or(i64::MAX));
    if let Some(from) = filter.committed_from_ms {
        parts.push(format!("d.committed_at_ms >= {}", bind(time(from))));
    }
    if let Some(before) = filter.committed_before_ms {
        parts.push(format!("d.committed_at_ms < {}", bind(time(before))));
    }
    let all = if parts.is_empty() { "1".to_owned() } else { parts.join(" AND ") };
    (all, values)
}

#[cfg(test)]
mod tests {
    use docmill_core::search::Facts;
    use proptest::prelude::*;

    use super::*;
    use crate::ledger::Summary;

    /// A document as drawn: its place, its kind, and when it was committed.
    #[derive(Debug, Clone)]
    struct Drawn {
        uri: String,
        summary: Summary,
        committed_at_ms: Option<u64>,
    }

    fn id_of(number: usize) -> DocumentId {
        DocumentId::born(&TenantId::default(), &number.to_string(), 0)
    }

    fn drawn() -> impl Strategy<Value = Drawn> {
        let kind = (
            prop::option::of(prop::sample::select(vec!["report", "re\"port", "Report"])),
            prop::sample::select(vec!["text/plain", "text/html", ""]),
            prop::sample::select(vec!["en", "de", "und"]),
        );
        let uri = prop::sample::select(vec!["file:///a", "file:///a/b", "file:///A", "file:///ä/b", "a"]);
        (uri, kind, prop::option::of(0u64..4)).prop_map(|(uri, (category, media_type, language), at)| {
            Drawn {
                uri: uri.to_owned(),
                summary: Summary {
                    category: category.map(str::to_owned),
                    media_type: media_type.to_owned(),
                    language: language.to_owned(),
                    title: Some("\",\"category\":\"report\",\"language\":\"en".to_owned()),
                    ..Summary::default()
                },
                committed_at_ms: at,
            }
        })
    }

    fn filters() -> impl Strategy<Value = Filter> {
        let some_of = |of: Vec<&'static str>| {
            prop::collection::vec(prop::sample::select(of).prop_map(str::to_owned), 0..3)
        };
        let prefixes = vec!["file:///a", "file:///a/", "file:///ä", "", "b", "%", "_"];
        (
            prop::collection::vec(0usize..8, 0..3),
            some_of(vec!["report", "re\"port", "other"]),
            some_of(vec!["text/plain", "text/html"]),
            some_of(vec!["en", "de"]),
            prop::option::of(prop::sample::select(prefixes).prop_map(str::to_owned)),
            prop::option::of(0u64..4),
            prop::option::of(0u64..5),
        )
            .prop_map(
                |(documents, categories, media_types, languages, uri_prefix, from, before)| Filter {
                    documents: documents.into_iter().map(id_of).collect(),
                    categories,
                    media_types,
                    languages,
                    uri_prefix,
                    committed_from_ms: from,
                    committed_before_ms: before,
                },
            )
    }

    fn ledger(documents: &[Drawn]) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("../sqlite/schema.sql")).unwrap();
        for (number, drawn) in documents.iter().enumerate() {
            let summary = serde_json::to_string(&drawn.summary).unwrap();
            connection
                .execute(
                    "INSERT INTO documents(document, tenant, uri, birth_uri, generation, state, bytes, summary,
                       committed_at_ms, changed_at_ms) VALUES(?1, 'default', ?2, ?2, 1, 'committed', 1, ?3, ?4, 1)",
                    rusqlite::params![
                        &id_of(number).as_bytes()[..],
                        drawn.uri,
                        summary,
                        drawn.committed_at_ms.map(|at| at as i64)
                    ],
                )
                .unwrap();
        }
        connection
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn sql_admits_what_the_core_admits(
            documents in prop::collection::vec(drawn(), 0..8),
            filter in filters(),
        ) {
            let connection = ledger(&documents);
            let admitted = Admitted::of(&connection, &TenantId::default(), &filter).unwrap();
            prop_assert_eq!(admitted.is_none(), filter.is_empty());
            let scope = Scope { tenant: &TenantId::default(), index: IndexId(1), admitted: admitted.as_ref() };
            for (number, drawn) in documents.iter().enumerate() {
                let facts = Facts {
                    id: id_of(number),
                    uri: &drawn.uri,
                    category: drawn.summary.category.as_deref(),
                    media_type: &drawn.summary.media_type,
                    language: &drawn.summary.language,
                    committed_at_ms: drawn.committed_at_ms,
                };
                prop_assert_eq!(scope.holds(&facts.id), filter.admits(&facts), "{:?} {:?}", drawn, &filter);
            }
        }
    }

    #[test]
    fn another_tenants_documents_are_never_admitted() {
        let drawn = Drawn { uri: "a".into(), summary: Summary::default(), committed_at_ms: Some(1) };
        let connection = ledger(&[drawn]);
        let filter = Filter { documents: vec![id_of(0)], ..Filter::default() };
        let of = |tenant: &TenantId| Admitted::of(&connection, tenant, &filter).unwrap().unwrap();
        assert!(of(&TenantId::default()).documents.contains(&id_of(0)));
        assert!(of(&TenantId::new("other").unwrap()).documents.is_empty());
    }

    #[test]
    fn a_narrow_filter_lets_questions_find_more() {
        let admitted = |left: usize, all: u64| {
            let documents = (0..left).map(id_of).collect();
            Admitted { filter: Filter::default(), documents, all }.limits().scored_max
        };
        let plain = PlanLimits::default();
        assert_eq!(admitted(100, 100), plain.scored_max);
        assert_eq!(admitted(50, 100), plain.scored_max * 2);
        assert_eq!(admitted(1, 1_000_000), plain.walked_max);
        assert_eq!(admitted(0, 0), plain.scored_max);
    }
}
