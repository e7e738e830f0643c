//! Arrays by name, out of files of weights: [`Arrays`] reads safetensors files and, with the cargo feature `files`, PyTorch's
//! `.pt` and `.pth`, NumPy's `.npz` and `.npy`, and Keras's `.keras` and `.weights.h5`.
//!
//! A file is recognised by its first bytes. No code of a file is ever run, and no file costs memory beyond a small multiple of its
//! size.

mod arrays;
mod disk;
mod entry;
mod foreign;
mod format;
#[cfg(feature = "files")]
mod globals;
#[cfg(feature = "files")]
mod hdf5;
#[cfg(feature = "files")]
mod npy;
#[cfg(feature = "files")]
mod pickle;
mod reader;
mod safetensors;
#[cfg(feature = "files")]
mod state_dict;
#[cfg(feature = "files")]
mod torch;
#[cfg(feature = "files")]
mod unzip;

pub use arrays::Arrays;
pub(crate) use disk::{of_file, read_file};
pub(crate) use entry::Raw;
pub use format::Format;
pub(crate) use safetensors::{serialize, write};
