//! Pictures, as SVG files.

mod aligned;
mod grid;
mod heat;
mod lines;
mod reliability;
mod style;

pub use aligned::{Aligned, aligned};
pub use grid::{Tile, grid};
pub use heat::{Heat, confusion, heat};
pub use lines::{Band, Line, bands, lines};
pub use reliability::reliability;
use style::{COLOURS, Drawn, finish};
