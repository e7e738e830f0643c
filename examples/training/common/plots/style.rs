//! What all pictures have in common.

use anyhow::{Context, Result, anyhow};
use plotters::prelude::RGBColor;
use std::path::Path;

/// Colours that remain apart for most people (Okabe and Ito 2008).
pub const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// How drawing ended.
pub type Drawn = Result<(), Box<dyn std::error::Error>>;

/// An error that names the file.
pub fn finish(path: &Path, drawn: Drawn) -> Result<()> {
    drawn.map_err(|error| anyhow!("{error}")).with_context(|| path.display().to_string())
}
