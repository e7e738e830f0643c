//! What a network has to beat.

mod logistic;
mod memory;
mod ngram;

pub use logistic::{Features, Fit, Logistic};
pub use memory::nearest;
pub use ngram::Ngrams;
