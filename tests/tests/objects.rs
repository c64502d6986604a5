//! Objects on a volume and on a real S3 server: every contract case, and what only one of them can show.

// Helpers of tests panic as tests do.
#![allow(clippy::unwrap_used, clippy::large_futures)]

mod volume {
    use docmill_tests::contract::objects::volume;

    docmill_tests::objects_cases!(volume());
}

mod s3 {
    use docmill_tests::contract::objects::s3;

    docmill_tests::objects_cases!(s3());
}

#[path = "objects/clients.rs"]
mod clients;
#[path = "objects/killed.rs"]
mod killed;
#[path = "objects/server.rs"]
mod server;
