//! Files of weights that other frameworks write, read without Python.

mod common;
mod hostile;
mod keras;
mod memory;
mod model;
mod numpy;
mod pytorch;
