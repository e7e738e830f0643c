//! What the examples that train share: a progress bar, Ctrl-C, pictures of losses, and what all examples share.

#![allow(dead_code, unused_imports, reason = "each example uses a part of it")]

mod bar;
#[path = "../../common/mod.rs"]
mod every;
pub mod interrupt;
mod picture;

pub use bar::Bar;
pub use every::{Choice, check_place, counted, make_folder, of_file, two_digits};
pub use picture::{Line, plot};
