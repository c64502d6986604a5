//! Which chunks a search may bring: those that current manifests of the tenant's documents name, and of these the ones
//! that a filter admits.

use deadpool_postgres::Transaction;
use docmill_core::id::{IndexId, TenantId};
use docmill_core::search::Filter;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::postgres::Error;
use crate::postgres::sql::{Values, one};
use crate::postgres::values::{big, document_key, number};

/// Where it is known after it was found what may be brought, one in so many more is looked at: versions that were replaced
/// are there until they are removed.
const SPARE_ONE_IN: usize = 4;
/// Values of a filter in a statement.
const FILTER_VALUES: usize = 7;

/// See the module. Statements have the tenant as `$1` and the index as `$2`, then their own values, then the filter's.
pub(super) struct Scope<'a> {
    tenant: &'a str,
    index: i64,
    filter: Option<Wanted>,
}

/// A filter as the server takes it; `None` is no limit.
struct Wanted {
    documents: Option<Vec<Uuid>>,
    categories: Option<Vec<String>>,
    media_types: Option<Vec<String>>,
    languages: Option<Vec<String>>,
    uri_prefix: Option<String>,
    from_ms: Option<i64>,
    before_ms: Option<i64>,
}

impl<'a> Scope<'a> {
    pub(super) fn new(tenant: &'a TenantId, index: IndexId, filter: &Filter) -> Self {
        let wanted = || Wanted {
            documents: some(filter.documents.iter().copied().map(document_key).collect()),
            categories: some(filter.categories.iter().map(|text| asked(text)).collect()),
            media_types: some(filter.media_types.iter().map(|text| asked(text)).collect()),
            languages: some(filter.languages.iter().map(|text| asked(text)).collect()),
            uri_prefix: filter.uri_prefix.as_deref().map(asked),
            from_ms: filter.committed_from_ms.map(big),
            before_ms: filter.committed_before_ms.map(big),
        };
        let filter = (!filter.is_empty()).then(wanted);
        Self { tenant: tenant.as_str(), index: index.0, filter }
    }

    /// Whether a filter leaves some of the tenant's documents out.
    pub(super) fn is_filtered(&self) -> bool {
        self.filter.is_some()
    }

    /// All values of a statement that has these of its own.
    pub(super) fn and<'v>(&'v self, own: Values<'v>) -> Vec<&'v (dyn ToSql + Sync)> {
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&self.tenant, &self.index];
        values.extend_from_slice(own);
        if let Some(filter) = &self.filter {
            let of_filter: [&(dyn ToSql + Sync); FILTER_VALUES] = [
                &filter.documents,
                &filter.categories,
                &filter.media_types,
                &filter.languages,
                &filter.uri_prefix,
                &filter.from_ms,
                &filter.before_ms,
            ];
            values.extend(of_filter);
        }
        values
    }

    /// Conditions on the documents `d`, in a statement with `own` values of its own.
    pub(super) fn conditions(&self, own: usize) -> String {
        if self.filter.is_none() {
            return String::new();
        }
        // After the tenant and the index; numbered from 1.
        let [documents, categories, media_types, languages, prefix, from, before]: [usize; FILTER_VALUES] =
            std::array::from_fn(|n| 3 + own + n);
        format!(
            " AND (${documents}::uuid[] IS NULL OR d.document = ANY(${documents}))
              AND (${categories}::text[] IS NULL OR d.category = ANY(${categories}))
              AND (${media_types}::text[] IS NULL OR d.media_type = ANY(${media_types}))
              AND (${languages}::text[] IS NULL OR d.language = ANY(${languages}))
              AND (${prefix}::text IS NULL OR starts_with(d.uri, ${prefix}))
              AND (${from}::bigint IS NULL OR d.committed_at_ms >= ${from})
              AND (${before}::bigint IS NULL OR d.committed_at_ms < ${before})"
        )
    }

    /// A condition: the row of `table`, which has a chunk and its document, may be brought. Written so that it is asked
    /// of one row after the other: what comes in the order of an index stays in it.
    pub(super) fn of_row(&self, table: &str, own: usize) -> String {
        let documents = if self.is_filtered() { "JOIN documents d ON d.document = m.document" } else { "" };
        format!(
            "(SELECT true FROM manifests m JOIN manifest_entries e ON e.manifest = m.manifest {documents}
              WHERE m.document = {table}.document AND m.index_id = $2 AND m.replaced_by IS NULL
                AND m.seq IS NOT NULL AND e.chunk = {table}.chunk{} LIMIT 1)",
            self.conditions(own)
        )
    }

    /// A query: all chunks that may be brought.
    pub(super) fn all(&self, own: usize) -> String {
        format!(
            "SELECT e.chunk FROM documents d
             JOIN manifests m ON m.document = d.document AND m.index_id = $2 AND m.replaced_by IS NULL
                              AND m.seq IS NOT NULL
             JOIN manifest_entries e ON e.manifest = m.manifest
             WHERE d.tenant = $1{}",
            self.conditions(own)
        )
    }

    /// How many chunks may be brought, counted up to `most`.
    pub(super) async fn count(&self, transaction: &Transaction<'_>, most: u64) -> Result<u64, Error> {
        let sql = format!("SELECT count(*) FROM ({} LIMIT $3) AS part", self.all(1));
        let row = one(transaction, &sql, &self.and(&[&big(most)])).await?;
        Ok(number(row.try_get(0)?))
    }
}

/// How many are looked at, that so many of them may be brought.
pub(super) fn with_spare(wanted: usize) -> usize {
    wanted + wanted / SPARE_ONE_IN
}

/// Of rows that were asked for [`with_spare`], in their order, the first `wanted` whose `column` says that they may be brought.
/// `None`: too few, though there may be more.
pub(super) fn current(found: &[Row], column: usize, wanted: usize) -> Result<Option<Vec<&Row>>, Error> {
    let told: Vec<(&Row, bool)> =
        found.iter().map(|row| Ok((row, row.try_get(column)?))).collect::<Result<_, Error>>()?;
    Ok(first_current(told, wanted))
}

fn first_current<T>(found: Vec<(T, bool)>, wanted: usize) -> Option<Vec<T>> {
    let are_all = found.len() < with_spare(wanted);
    let current: Vec<T> =
        found.into_iter().filter_map(|(row, is)| is.then_some(row)).take(wanted).collect();
    (current.len() == wanted || are_all).then_some(current)
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

/// What is compared with stored values. The server takes no NUL, and stores none: what has one equals nothing, which
/// another character does as well that neither a URI nor a name has.
fn asked(text: &str) -> String {
    text.replace('\0', "\u{1}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_that_are_current_are_none_where_there_may_be_more() {
        let found = |current: usize, replaced: usize| -> Vec<(usize, bool)> {
            (0..replaced).map(|n| (n, false)).chain((0..current).map(|n| (n, true))).collect()
        };
        assert_eq!(with_spare(48), 60);
        assert_eq!(first_current(found(48, 12), 48).map(|rows| rows.len()), Some(48));
        assert_eq!(first_current(found(60, 0), 48), Some((0..48).collect()), "the first of them");
        assert_eq!(first_current(found(47, 13), 48), None);
        assert_eq!(first_current(found(3, 56), 48), Some(vec![0, 1, 2]), "there are no more");
    }

    #[test]
    fn a_statement_mentions_all_of_its_values_and_no_more() {
        let tenant = TenantId::default();
        let open = Scope::new(&tenant, IndexId(7), &Filter::default());
        assert_eq!((open.and(&[&1i64]).len(), open.conditions(1)), (3, String::new()));
        assert!(!open.of_row("c", 1).contains("documents"));
        let languages = Filter { languages: vec!["de".to_owned()], ..Filter::default() };
        let scope = Scope::new(&tenant, IndexId(7), &languages);
        assert_eq!(scope.and(&[&1i64, &2i64]).len(), 4 + FILTER_VALUES);
        let conditions = scope.conditions(2);
        for n in 5..5 + FILTER_VALUES {
            assert!(conditions.contains(&format!("${n}::")), "{conditions}");
        }
        assert!(!conditions.contains("$4") && !conditions.contains("$12"));
    }
}
