//! What a network has to beat.

mod logistic;
mod memory;
mod nearest;
mod ngram;
mod pieces;
mod warped;

pub use logistic::{Features, Fit, Logistic};
pub use memory::{most_similar, recall};
pub use nearest::Nearest;
pub use ngram::Ngrams;
pub use pieces::Pieces;
pub use warped::Warped;
