//! Devices made ready: opened, chosen among adapters, their kernels compared and measured.

mod autotune;
mod open;
