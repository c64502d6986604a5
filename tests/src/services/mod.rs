//! Real servers for the tests: started in a directory of their own, waited for by condition, killed on drop.

pub mod process;
pub mod redis;
