//! What a network has to beat.

mod logistic;
mod nearest;
mod pieces;

pub use logistic::{Features, Fit, Logistic};
pub use nearest::Nearest;
pub use pieces::Pieces;
