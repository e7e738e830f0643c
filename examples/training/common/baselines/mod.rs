//! What a network has to beat.

mod logistic;
mod nearest;
mod pieces;
mod warped;

pub use logistic::{Features, Fit, Logistic};
pub use nearest::Nearest;
pub use pieces::Pieces;
pub use warped::Warped;
