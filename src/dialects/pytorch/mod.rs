//! State dicts of `torch.nn.RNN`, `LSTM` and `GRU`, and of `RNNCell`, `LSTMCell` and `GRUCell`, and of whole models with such
//! modules, in files of `torch.save` (`.pt`, `.pth`) and in safetensors files.
//!
//! Sizes, layers, directions, biases and projection follow from the names and shapes of the tensors. Only the cell does not,
//! so it has to be given.
//!
//! ```no_run
//! # fn main() -> wgrnn::Result<()> {
//! use wgrnn::{Cell, Device, Rnn, dialects::pytorch};
//! let (config, weights) = pytorch::load("model.pt", Cell::Lstm, "encoder.")?;
//! let rnn = Rnn::new(&Device::auto(), &config.batch_first(true), weights)?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Parts`] reads a whole model by a map of names.

mod parts;
mod stack;
mod state_dict;

pub use parts::Parts;
pub use stack::{Module, from_arrays, from_bytes, from_safetensors, load, to_safetensors};
pub use state_dict::StateDict;
