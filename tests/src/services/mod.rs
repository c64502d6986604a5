//! Real servers for the tests: started in a directory of their own when the first test needs one, waited
//! for by condition, gone with what started them.

pub mod certificates;
pub mod neo4j;
pub mod postgres;
pub mod process;
pub mod redis;
