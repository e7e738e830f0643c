//! Whole models as plans: the operators around recurrent nodes, by the operations of a tape.

mod builder;
mod elements;
mod item;
mod moves;
mod operators;
mod products;
mod recurrent;
mod sums;
mod whole;

pub use whole::Graph;
