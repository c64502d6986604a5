//! Measuring servers from outside: a load generator that takes little of the cores it may share with what it measures,
//! and the figures that come of it.

mod connection;
mod figures;
mod load;
mod questions;
mod table;

pub use figures::{Compared, Figures, Level};
pub use load::{Kind, Load, Target, first_answer, indexes, run};
pub use questions::Questions;
pub use table::{asked, searched};
