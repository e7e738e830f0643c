//! Each lesson, on few steps: it trains on the CPU device and on a GPU, goes on where it stopped, and refuses what it can't read.

mod caption;
mod char_lm;
mod common;
mod compose;
mod digits;
mod forecast;
mod handwriting;
#[cfg(unix)]
mod interruption;
mod pronounce;
mod sentiment;
mod speech;
mod translate;
mod voice;
