//! What bytes mean to each fuzz target. Coverage-guided fuzzing and the library's own tests draw from the same generators.

pub mod calls;
pub mod damage;
pub mod files;
