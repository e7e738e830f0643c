//! Pictures, as SVG files.

mod aligned;
mod grid;
mod heat;
mod lines;
mod style;

pub use aligned::{Aligned, aligned};
pub use grid::{Tile, grid};
pub use heat::{Heat, heat};
pub use lines::{Line, lines};
use style::{COLOURS, Drawn, finish};
