//! The PostgreSQL back ends on a real server: every contract case, and what only a server can show.

// Helpers of tests panic as tests do.
#![allow(clippy::unwrap_used, clippy::large_futures)]

mod contract {
    use docmill_tests::services::postgres::{backend, books};

    docmill_tests::ledger_cases!(backend());
    docmill_tests::sink_cases!(backend());
    docmill_tests::desk_cases!(books());
}

#[path = "postgres/crossing.rs"]
mod crossing;
#[path = "postgres/encrypted.rs"]
mod encrypted;
#[path = "postgres/migrating.rs"]
mod migrating;
#[path = "postgres/searching.rs"]
mod searching;
#[path = "postgres/server.rs"]
mod server;
#[path = "postgres/upkeep.rs"]
mod upkeep;
