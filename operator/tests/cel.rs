//! The rules of the schema, each with what it takes and what it refuses, without an API server. The same table goes
//! through a real one in `tests/tests/cluster_rules.rs`.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use docmill_operator::resource::IngestionPipeline;
use docmill_operator::resource::rules::{Case, SCHEMA_RULES};
use serde_json::Value;
use support::{read, schema};

fn typed(object: &Value) -> IngestionPipeline {
    serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{object}: {error}"))
}

/// What is said of an object: nothing, or the messages.
fn said(case: &Case) -> Vec<String> {
    let new = typed(&case.new);
    let said = match &case.old {
        None => new.validate_cel(),
        Some(old) => new.validate_cel_update(&typed(old)),
    };
    let Err(errors) = said else { return Vec::new() };
    errors.into_iter().map(|error| error.message).collect()
}

#[test]
fn each_rule_takes_and_refuses() {
    for rule in SCHEMA_RULES {
        let cases = (rule.cases)();
        assert!(cases.iter().any(|case| case.is_taken) && cases.iter().any(|case| !case.is_taken));
        for case in cases {
            let said = said(&case);
            if case.is_taken {
                assert!(said.is_empty(), "{}: {case:?}: {said:?}", rule.id);
            } else {
                let begin = format!("{}: ", rule.id);
                let is_said = said.iter().any(|message| message.starts_with(&begin));
                assert!(is_said, "{begin}{case:?}: {said:?}");
                // Rules that cannot be evaluated refuse as well, with another message.
                assert!(said.iter().all(|message| message.starts_with("IP-")), "{case:?}: {said:?}");
            }
        }
    }
}

#[test]
fn what_stands_before_a_change_is_taken_itself() {
    for rule in SCHEMA_RULES {
        for case in (rule.cases)() {
            let Some(old) = case.old else { continue };
            assert_eq!(typed(&old).validate_cel(), Ok(()), "{}: {old}", rule.id);
        }
    }
}

#[test]
fn the_table_the_schema_and_the_page_have_the_same_rules() {
    let table: Vec<String> = SCHEMA_RULES.iter().map(|rule| rule.id.to_owned()).collect();
    assert!(table.is_sorted(), "{table:?}");
    let table: BTreeSet<String> = table.into_iter().collect();
    assert_eq!(table.len(), SCHEMA_RULES.len(), "each number once");
    assert_eq!(schema::rules().into_keys().collect::<BTreeSet<_>>(), table);
    let page = read("docs/reference/validation.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| IP-")?.split(' ').next());
    assert_eq!(rows.map(|number| format!("IP-{number}")).collect::<BTreeSet<_>>(), table);
}

#[test]
fn every_message_fits_the_api_server() {
    for (id, messages) in schema::rules() {
        for message in messages {
            // 2048 are allowed; people read less.
            let is_one_clause = !message.contains('\n') && !message.ends_with('.');
            assert!(message.len() < 200 && is_one_clause, "{id}: {message}");
        }
    }
}
