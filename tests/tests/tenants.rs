//! The proof that tenants see nothing of each other finds what is planted for it.
#![allow(clippy::unwrap_used)]

use docmill_tests::tenants::{Options, run};

/// Enough that every operation is asked.
const QUERIES: usize = 400;

#[test]
fn what_is_planted_is_found_in_every_place() {
    let outcome = run(&Options { queries: QUERIES, seed: 1, planted: true }).unwrap();
    println!("{}\n{}", outcome.beside(), outcome.line());
    for place in ["answers", "postgres", "neo4j", "redis", "cache"] {
        assert!(outcome.foreign.get(place).is_some_and(|rows| *rows > 0), "{place}");
    }
    for place in ["answers", "postgres", "redis", "cache", "logs", "command lines"] {
        assert!(outcome.secrets.get(place).is_some_and(|found| !found.is_empty()), "{place}");
    }
    assert!(outcome.cached > 0, "both tenants use the cache");
    let short = outcome.short();
    assert!(short.contains(&"foreign_rows") && short.contains(&"canary_hits"), "{short:?}");
}
