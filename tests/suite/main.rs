//! The library's tests, by what they state. Shared devices are in `common`; no adapter is a failure, never a skip.

mod common;
mod golden;
mod kernels;
mod layers;
