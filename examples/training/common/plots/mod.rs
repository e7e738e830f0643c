//! Pictures, as SVG files.

mod grid;
mod heat;
mod lines;
mod style;

pub use grid::{Tile, grid};
pub use heat::{Heat, heat};
pub use lines::{Line, lines};
use style::{COLOURS, Drawn, finish};
