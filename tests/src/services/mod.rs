//! Real servers for tests, each started when the first test needs it and gone with the process.

pub mod postgres;
