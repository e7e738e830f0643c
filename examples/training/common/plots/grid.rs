//! Small pictures side by side, each with a line of text below.

use super::{Drawn, finish};
use anyhow::{Result, ensure};
use ndarray::Array3;
use plotters::prelude::*;
use std::path::Path;

/// A small picture.
#[derive(Clone, Debug)]
pub struct Tile {
    /// [rows, columns, 3]: red, green and blue, from 0 to 1.
    pub pixels: Array3<f32>,
    /// Written below, line by line.
    pub text: String,
    /// Whether the text is written in red: an answer that is wrong.
    pub is_wrong: bool,
}

impl Tile {
    /// A picture with what it was taken for, and with what it is where that is something else.
    pub fn answer(pixels: Array3<f32>, got: &str, wanted: &str) -> Self {
        let is_wrong = got != wanted;
        let text = if is_wrong { format!("{}\nis {}", wrap(got), wrap(wanted)) } else { wrap(got) };
        Self { pixels, text, is_wrong }
    }
}

/// A text in lines of some 20 letters.
fn wrap(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        if lines[last].is_empty() {
            lines[last] = word.to_owned();
        } else if lines[last].chars().count() + word.chars().count() < 20 {
            lines[last] = format!("{} {word}", lines[last]);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.join("\n")
}

/// Height of a line of text, and space around a tile.
const LINE: i32 = 17;
const SPACE: i32 = 10;

/// Tiles of one size in rows of `columns`; a pixel is a square of `scale` units.
///
/// # Errors
///
/// No tiles; a file that can't be written.
pub fn grid(path: &Path, title: &str, columns: usize, scale: u32, tiles: &[Tile]) -> Result<()> {
    ensure!(!tiles.is_empty() && columns > 0, "{}: nothing to draw", path.display());
    let most = |of: &dyn Fn(&Tile) -> usize| tiles.iter().map(of).max().unwrap_or(1) as i32;
    let scale = scale as i32;
    let lines = most(&|tile| tile.text.lines().count());
    let letters = most(&|tile| tile.text.lines().map(|line| line.chars().count()).max().unwrap_or(0));
    let width = (most(&|tile| tile.pixels.dim().1) * scale).max(letters * 7) + 2 * SPACE;
    let height = most(&|tile| tile.pixels.dim().0) * scale + lines * LINE + 2 * SPACE;
    let rows = tiles.len().div_ceil(columns) as i32;
    let size = ((width * columns.min(tiles.len()) as i32).max(title.chars().count() as i32 * 11), height * rows + 40);
    let root = SVGBackend::new(path, (size.0 as u32, size.1 as u32)).into_drawing_area();
    let draw = || -> Drawn {
        root.fill(&WHITE)?;
        let body = root.titled(title, ("sans-serif", 20))?;
        for (i, tile) in tiles.iter().enumerate() {
            let left = (i % columns) as i32 * width + SPACE;
            let top = (i / columns) as i32 * height + SPACE;
            let (high, wide, _) = tile.pixels.dim();
            let indent = (width - 2 * SPACE - wide as i32 * scale) / 2;
            for y in 0..high {
                let colour = |x: usize| {
                    let byte = |c: usize| (tile.pixels[[y, x, c]].clamp(0.0, 1.0) * 255.0).round() as u8;
                    RGBColor(byte(0), byte(1), byte(2))
                };
                // Pixels of one colour side by side are one rectangle, and white ones none: the file is a fraction of the size.
                let mut begin = 0;
                while begin < wide {
                    let end = (begin + 1..wide).find(|&x| colour(x) != colour(begin)).unwrap_or(wide);
                    if colour(begin) != WHITE {
                        let (x, y) = (left + indent, top + y as i32 * scale);
                        let corners = [(x + begin as i32 * scale, y), (x + end as i32 * scale, y + scale)];
                        body.draw(&Rectangle::new(corners, colour(begin).filled()))?;
                    }
                    begin = end;
                }
            }
            let colour = if tile.is_wrong { RGBColor(190, 30, 30) } else { RGBColor(40, 40, 40) };
            let font = ("sans-serif", 13).into_font().color(&colour);
            let below = top + high as i32 * scale + 4;
            for (line, text) in tile.text.lines().enumerate() {
                body.draw(&Text::new(text.to_owned(), (left, below + line as i32 * LINE), font.clone()))?;
            }
        }
        root.present()?;
        Ok(())
    };
    finish(path, draw())
}
