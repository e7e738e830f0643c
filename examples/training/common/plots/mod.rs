//! Pictures, as SVG files.

mod aligned;
mod grid;
mod heat;
mod lines;
mod reliability;
mod roll;
mod style;

pub use aligned::{Aligned, aligned};
pub use grid::{Tile, grid};
pub use heat::{Heat, confusion, heat};
pub use lines::{Band, Line, bands, lines};
pub use reliability::reliability;
pub use roll::{Roll, rolls};
use style::{COLOURS, Drawn, finish};
