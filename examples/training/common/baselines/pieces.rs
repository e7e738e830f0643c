//! Reading a line of digits piece by piece.

use super::nearest::Nearest;
use crate::data::handwriting::{Digits, INK, Line, areas, ends};
use ndarray::{Array2, ArrayView2, s};

/// Cuts a line where a column is blank; each piece is the digit of the nearest picture.
#[derive(Clone, Debug)]
pub struct Pieces(Nearest);

impl Pieces {
    /// From pictures of single digits.
    pub fn fit(digits: &Digits) -> Self {
        Self(Nearest::fit(digits.all().map(|(picture, digit)| (square(picture), digit))))
    }

    /// The digits of a line.
    pub fn read(&self, line: &Line) -> Vec<usize> {
        pieces(line).iter().map(|piece| self.0.classify(&square(piece.view()))).collect()
    }
}

/// The pieces of a line between blank columns, from left to right, each [rows, columns].
fn pieces(line: &Line) -> Vec<Array2<f32>> {
    let mut pieces = Vec::new();
    let has_ink: Vec<bool> =
        line.columns.rows().into_iter().map(|column| column.iter().any(|&ink| ink > 0.3)).collect();
    let mut column = 0;
    for run in has_ink.chunk_by(|a, b| a == b) {
        if run[0] {
            pieces.push(line.columns.slice(s![column..column + run.len(), ..]).t().to_owned());
        }
        column += run.len();
    }
    pieces
}

/// A picture of a digit cut to its ink, its longer side scaled to 20 pixels, in the middle of 20 x 20.
fn square(picture: ArrayView2<'_, f32>) -> Vec<f32> {
    let mut square = Array2::<f32>::zeros((INK, INK));
    if let (Some((top, bottom)), Some((left, right))) = (ends(picture, 0), ends(picture, 1)) {
        let ink = picture.slice(s![top..bottom, left..right]);
        let scale = ink.nrows().max(ink.ncols()) as f32 / INK as f32;
        let [high, wide] =
            [ink.nrows(), ink.ncols()].map(|size| ((size as f32 / scale).round() as usize).clamp(1, INK));
        let rows = areas(ink, high, ink.nrows() as f32 / high as f32);
        let small = areas(rows.t(), wide, ink.ncols() as f32 / wide as f32);
        let [y, x] = [(INK - high) / 2, (INK - wide) / 2];
        square.slice_mut(s![y..y + high, x..x + wide]).assign(&small.t());
    }
    square.into_iter().collect()
}
