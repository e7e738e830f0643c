//! Nodes that are evaluated when a model is read.

mod arithmetic;
mod constants;
mod moves;
mod operators;

pub(super) use constants::{dequantized_by, fills_with_zero, is_float, is_integer, truth};
pub(super) use moves::{reshape, shape};
pub(super) use operators::{evaluate, is_known};
