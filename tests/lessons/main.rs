//! Each lesson, on few steps: it trains on the CPU device and on a GPU, goes on where it stopped, and refuses what it can't read.

mod common;
mod digits;
