//! The library's tests, by what they state. Shared devices are in `common`; no adapter is a failure, never a skip.

mod autotune;
mod bad_input;
mod classes;
mod common;
mod composition;
mod cooperative;
mod device;
mod dialects;
mod extremes;
mod forms;
mod golden;
mod gradients;
mod grid;
mod half;
mod hostile_files;
mod kernels;
mod layers;
mod other_devices;
mod plans;
mod random_layers;
mod scan;
mod shaders;
mod stream;
mod training;
mod wavefront;
mod weights;
