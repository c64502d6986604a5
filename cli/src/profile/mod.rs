//! What the machine and some of its processes use, over time: read from `/proc`, written as a timeline and plots.

mod plot;
mod proc;
mod timeline;

pub use plot::{blocks, svg};
pub use proc::{Counters, look};
pub use timeline::{Point, Timeline};
