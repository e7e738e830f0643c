//! Files of weights that other frameworks write, read without Python.

mod common;
mod hostile;
mod memory;
mod model;
mod pytorch;
