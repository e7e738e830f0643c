//! What a network has to beat.

mod logistic;
mod nearest;

pub use logistic::{Features, Fit, Logistic};
pub use nearest::nearest;
