//! Sequences above what a network makes of them step by step.

use super::{Drawn, finish};
use anyhow::{Result, ensure};
use ndarray::{Array2, ArrayView2};
use plotters::prelude::*;
use std::path::Path;

/// A sequence, and the probabilities of labels at each of its steps.
#[derive(Clone, Debug)]
pub struct Aligned {
    /// What is read, from 0 (white) to 1 (black): [rows, columns], the first row at the top.
    pub input: Array2<f32>,
    /// [labels, steps], from 0 to 1; the steps share the width of the input.
    pub probabilities: Array2<f32>,
    /// Names of the labels.
    pub labels: Vec<String>,
    /// Written above.
    pub text: String,
    /// Whether the text is written in red: an answer that is wrong.
    pub is_wrong: bool,
}

/// Space above, left of and below each sequence, and the height of a label's row.
const TOP: i32 = 30;
const HEAD: i32 = 44;
const LEFT: i32 = 44;
const BELOW: i32 = 16;
const ROW: i32 = 13;

/// Sequences in so many columns, row by row; an element of an input is a square of `scale` units.
///
/// # Errors
///
/// No sequence or one without steps; names that are not as many as labels; a file that can't be written.
pub fn aligned(path: &Path, title: &str, [columns, scale]: [usize; 2], all: &[Aligned]) -> Result<()> {
    let is_drawn = |one: &Aligned| !one.input.is_empty() && !one.probabilities.is_empty();
    ensure!(!all.is_empty() && all.iter().all(is_drawn), "{}: nothing to draw", path.display());
    for Aligned { labels, probabilities, .. } in all {
        ensure!(labels.len() == probabilities.nrows(), "{} names of {} labels", labels.len(), probabilities.nrows());
    }
    let (columns, scale) = (columns.clamp(1, all.len()), scale as i32);
    let widest = all.iter().map(|one| one.input.ncols() as i32 * scale).max().unwrap_or(0);
    let width = (widest + LEFT + 20).max((title.len() * 10 / columns) as i32);
    let height = |one: &Aligned| TOP + one.input.nrows() as i32 * scale + 6 + one.labels.len() as i32 * ROW + BELOW;
    let heights = all.chunks(columns).map(|row| row.iter().map(height).max().unwrap_or(0));
    let size = ((width * columns as i32) as u32, (HEAD + heights.clone().sum::<i32>()) as u32);
    let root = SVGBackend::new(path, size).into_drawing_area();
    let draw = || -> Drawn {
        root.fill(&WHITE)?;
        root.draw(&Text::new(title.to_owned(), (12, 12), ("sans-serif", 20)))?;
        let mut top = HEAD;
        for (row, height) in all.chunks(columns).zip(heights) {
            for (k, one) in row.iter().enumerate() {
                draw_one(&root, one, (LEFT + k as i32 * width, top), scale)?;
            }
            top += height;
        }
        root.present()?;
        Ok(())
    };
    finish(path, draw())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn draw_one(root: &Area<'_>, one: &Aligned, (left, top): (i32, i32), scale: i32) -> Drawn {
    let colour = if one.is_wrong { RGBColor(190, 30, 30) } else { RGBColor(40, 40, 40) };
    let font = ("sans-serif", 15).into_font();
    root.draw(&Text::new(one.text.clone(), (left, top + 8), font.color(&colour)))?;
    let (rows, columns) = one.input.dim();
    let grey = |share: f64| {
        let level = (255.0 * (1.0 - share)) as u8;
        RGBColor(level, level, level)
    };
    let top = top + TOP;
    let place = Place { left, top, width: columns as i32 * scale, row: scale };
    squares(root, one.input.view(), &place, grey)?;
    let top = top + rows as i32 * scale + 6;
    let blue = |share: f64| {
        let mix = |from: f64, to: f64| (from + (to - from) * share) as u8;
        RGBColor(mix(246.0, 8.0), mix(246.0, 48.0), mix(246.0, 107.0))
    };
    squares(root, one.probabilities.view(), &Place { top, row: ROW, ..place }, blue)?;
    for (row, name) in one.labels.iter().enumerate() {
        let x = left - 6 - name.chars().count() as i32 * 7;
        root.draw(&Text::new(name.clone(), (x, top + row as i32 * ROW + 1), ("sans-serif", 12)))?;
    }
    Ok(())
}

struct Place {
    left: i32,
    top: i32,
    width: i32,
    row: i32,
}

/// A matrix in a rectangle. Neighbours of one colour are one piece, so that the file stays small.
fn squares(root: &Area<'_>, values: ArrayView2<'_, f32>, place: &Place, colour: impl Fn(f64) -> RGBColor) -> Drawn {
    let columns = values.ncols();
    let x = |column: usize| place.left + (column * place.width as usize / columns) as i32;
    for (row, values) in values.rows().into_iter().enumerate() {
        let y = place.top + row as i32 * place.row;
        // 32 shades are as many as one can tell apart.
        let shades: Vec<i32> = values.iter().map(|value| (value.clamp(0.0, 1.0) * 31.0).round() as i32).collect();
        let mut column = 0;
        for run in shades.chunk_by(|a, b| a == b) {
            let corners = [(x(column), y), (x(column + run.len()), y + place.row)];
            root.draw(&Rectangle::new(corners, colour(f64::from(run[0]) / 31.0).filled()))?;
            column += run.len();
        }
    }
    Ok(())
}
