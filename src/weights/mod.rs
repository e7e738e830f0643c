//! Weights on the host: from arrays, from a seed, from and to safetensors.

mod arrays;
pub(crate) mod equations;
pub(crate) mod files;
mod init;
mod layout;
mod names;
mod replace;

pub use arrays::{LayerWeights, NormWeights, RnnWeights};
pub(crate) use layout::{Offsets, offsets};
pub(crate) use names::{is_recurrent, wanted};
