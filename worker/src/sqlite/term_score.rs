//! `term_score(chunk_terms, weights)`: BM25 for FTS5 with what each phrase counts given by the caller;
//! `term_score_flat(…)` the same as if all rows were equally long, which saves a look-up a row.
//!
//! FTS5's own `bm25` walks the whole list of every phrase once a statement, to learn in how many rows it
//! is. A search knows that already, and asks several statements with the same words.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;

use docmill_core::search::fit;
use rusqlite::{Connection, Error, ffi};

/// The name that FTS5 hands its interface out by.
const API_POINTER: &[u8] = b"fts5_api_ptr\0";
/// Each name, and whether the length of a row counts.
static FUNCTIONS: [(&[u8], bool); 2] = [(b"term_score\0", true), (b"term_score_flat\0", false)];
/// All columns, to FTS5.
const EVERY_COLUMN: c_int = -1;

/// Weights as `term_score` takes them: one a phrase, in the question's order.
pub(crate) fn weights(of_phrases: impl Iterator<Item = f64>) -> Vec<u8> {
    of_phrases.flat_map(f64::to_le_bytes).collect()
}

/// Makes the functions known to a connection.
///
/// # Errors
/// SQLite was built without FTS5, or has no memory.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    // SAFETY: the handle is open as long as the connection is borrowed; names and functions are `'static`,
    // and the functions keep nothing.
    unsafe {
        let api = interface(connection.handle())?;
        let create = (*api).xCreateFunction.ok_or(Error::InvalidQuery)?;
        for (name, by_length) in &FUNCTIONS {
            // Read only, whatever the type says.
            let by_length = ptr::from_ref(by_length).cast_mut().cast::<c_void>();
            let code = create(api, name.as_ptr().cast::<c_char>(), by_length, Some(term_score), None);
            checked(code).map_err(failure)?;
        }
    }
    Ok(())
}

/// FTS5's interface, the way its documentation hands it out (fts5.html, "Extending FTS5").
///
/// # Safety
/// The handle must be open.
unsafe fn interface(handle: *mut ffi::sqlite3) -> rusqlite::Result<*mut ffi::fts5_api> {
    let mut api: *mut ffi::fts5_api = ptr::null_mut();
    let mut statement: *mut ffi::sqlite3_stmt = ptr::null_mut();
    let code = unsafe {
        let text = b"SELECT fts5(?1)\0";
        let prepared = ffi::sqlite3_prepare_v2(
            handle,
            text.as_ptr().cast::<c_char>(),
            -1,
            &raw mut statement,
            ptr::null_mut(),
        );
        if prepared == ffi::SQLITE_OK {
            let target = (&raw mut api).cast::<c_void>();
            ffi::sqlite3_bind_pointer(statement, 1, target, API_POINTER.as_ptr().cast::<c_char>(), None);
            ffi::sqlite3_step(statement);
            ffi::sqlite3_finalize(statement)
        } else {
            prepared
        }
    };
    checked(code).map_err(failure)?;
    match api.is_null() {
        true => Err(failure(ffi::SQLITE_ERROR)),
        false => Ok(api),
    }
}

/// # Safety
/// Called by FTS5, with arguments that live as long as the call.
unsafe extern "C" fn term_score(
    api: *const ffi::Fts5ExtensionApi,
    row: *mut ffi::Fts5Context,
    context: *mut ffi::sqlite3_context,
    given: c_int,
    arguments: *mut *mut ffi::sqlite3_value,
) {
    unsafe {
        let score = match (given, (*api).xUserData) {
            (1, Some(user_data)) => {
                let by_length = *user_data(row).cast::<bool>();
                score_of(&*api, row, bytes_of(*arguments), by_length)
            }
            _ => Err(ffi::SQLITE_MISUSE),
        };
        match score {
            Ok(score) => ffi::sqlite3_result_double(context, score),
            Err(code) => ffi::sqlite3_result_error_code(context, code),
        }
    }
}

/// # Safety
/// The value must outlive the bytes.
unsafe fn bytes_of<'v>(value: *mut ffi::sqlite3_value) -> &'v [u8] {
    unsafe {
        let bytes = ffi::sqlite3_value_blob(value).cast::<u8>();
        let length = usize::try_from(ffi::sqlite3_value_bytes(value)).unwrap_or(0);
        match bytes.is_null() {
            true => &[],
            false => std::slice::from_raw_parts(bytes, length),
        }
    }
}

/// # Safety
/// `row` must be the one that FTS5 asks about.
unsafe fn score_of(
    api: &ffi::Fts5ExtensionApi,
    row: *mut ffi::Fts5Context,
    weights: &[u8],
    by_length: bool,
) -> Result<f64, c_int> {
    let lacks = ffi::SQLITE_MISUSE;
    let (phrases, bytes) = weights.as_chunks::<8>();
    let mut counts = vec![0u32; phrases.len()];
    let (mut length, mut hits): (c_int, c_int) = (0, 0);
    let (mut words, mut rows) = (0i64, 0i64);
    unsafe {
        let asked = api.xPhraseCount.ok_or(lacks)?(row);
        if !bytes.is_empty() || usize::try_from(asked) != Ok(phrases.len()) {
            return Err(lacks);
        }
        if by_length {
            checked(api.xColumnSize.ok_or(lacks)?(row, EVERY_COLUMN, &raw mut length))?;
            checked(api.xColumnTotalSize.ok_or(lacks)?(row, EVERY_COLUMN, &raw mut words))?;
            checked(api.xRowCount.ok_or(lacks)?(row, &raw mut rows))?;
        }
        checked(api.xInstCount.ok_or(lacks)?(row, &raw mut hits))?;
        let hit_at = api.xInst.ok_or(lacks)?;
        for hit in 0..hits {
            let (mut phrase, mut column, mut place): (c_int, c_int, c_int) = (0, 0, 0);
            checked(hit_at(row, hit, &raw mut phrase, &raw mut column, &raw mut place))?;
            if let Some(count) = usize::try_from(phrase).ok().and_then(|phrase| counts.get_mut(phrase)) {
                *count += 1;
            }
        }
    }
    let mean_length = if rows > 0 { words as f64 / rows as f64 } else { 0.0 };
    let weighed = phrases.iter().map(|weight| f64::from_le_bytes(*weight)).zip(counts);
    Ok(weighed.map(|(weight, count)| fit(weight, count, f64::from(length), mean_length)).sum())
}

fn checked(code: c_int) -> Result<(), c_int> {
    match code {
        ffi::SQLITE_OK => Ok(()),
        code => Err(code),
    }
}

fn failure(code: c_int) -> Error {
    Error::SqliteFailure(ffi::Error::new(code), Some("FTS5 cannot be extended".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use docmill_core::search::rarity;

    fn table() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        register(&connection).unwrap();
        connection
            .execute_batch("CREATE VIRTUAL TABLE t USING fts5(terms, content='', contentless_delete=1)")
            .unwrap();
        for row in 0..40 {
            let often = if row % 3 == 0 { "rare rare word" } else { "word and other words" };
            let text = format!("{often} {} number{row}", "filler ".repeat(row % 7));
            connection.execute("INSERT INTO t(rowid, terms) VALUES (?, ?)", (row as i64, text)).unwrap();
        }
        connection
    }

    #[test]
    fn scores_are_those_of_the_built_in_function() {
        let connection = table();
        // In 14 and in 6 of 40 rows, and one that is in a single one.
        let given = weights([rarity(14, 40), rarity(1, 40)].into_iter());
        let mut statement = connection
            .prepare("SELECT term_score(t, ?2), -bm25(t) FROM t WHERE t MATCH ?1 ORDER BY rowid")
            .unwrap();
        let rows: Vec<(f64, f64)> = statement
            .query_map((r#"("rare") OR "number3""#, given), |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(rows.len(), 14);
        for (ours, theirs) in rows {
            assert!((ours - theirs).abs() < 1e-9, "{ours} {theirs}");
        }
    }

    #[test]
    fn flat_scores_know_no_length() {
        let connection = table();
        let scores = |function: &str| -> Vec<f64> {
            let sql = format!("SELECT {function}(t, ?2) FROM t WHERE t MATCH ?1 ORDER BY rowid");
            let mut statement = connection.prepare(&sql).unwrap();
            let given = (r#""rare""#, weights([1.0].into_iter()));
            statement.query_map(given, |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
        };
        let (flat, full) = (scores("term_score_flat"), scores("term_score"));
        assert!(flat.iter().all(|score| (score - fit(1.0, 2, 1.0, 1.0)).abs() < 1e-12), "{flat:?}");
        assert!(full.windows(2).any(|pair| pair[0] != pair[1]), "rows differ in length: {full:?}");
    }

    #[test]
    fn weights_that_do_not_fit_the_phrases_are_an_error() {
        let connection = table();
        for given in [weights([1.0].into_iter()), weights([1.0; 3].into_iter()), vec![0; 15], Vec::new()] {
            let score: rusqlite::Result<f64> = connection.query_row(
                r#"SELECT term_score(t, ?) FROM t WHERE t MATCH '"rare" AND "word"'"#,
                [given],
                |row| row.get(0),
            );
            assert!(score.is_err());
        }
        let bare: rusqlite::Result<f64> =
            connection.query_row("SELECT term_score(t) FROM t WHERE t MATCH 'rare'", [], |row| row.get(0));
        assert!(bare.is_err());
    }
}
