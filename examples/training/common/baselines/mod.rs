//! What a network has to beat.

mod logistic;

pub use logistic::{Features, Fit, Logistic};
