//! The library's tests, by what they state. Shared devices are in `common`; no adapter is a failure, never a skip.

mod common;
mod extremes;
mod golden;
mod kernels;
mod layers;
mod random_layers;
mod stream;
