//! Handwritten digits of 8 by 8 pixels.

use super::{by_line, text};
use anyhow::{Context, Result, ensure};
use std::path::Path;

/// Rows and columns of a picture.
pub const SIDE: usize = 8;

/// A picture and the digit that it shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Digit {
    /// Row by row, from 0 (paper) to 1 (ink).
    pub pixels: Vec<f32>,
    /// 0 to 9.
    pub digit: usize,
}

impl Digit {
    /// The pixel at a place; paper beyond the edges.
    pub fn pixel(&self, y: i32, x: i32) -> f32 {
        let inside = (0..SIDE as i32).contains(&y) && (0..SIDE as i32).contains(&x);
        if inside { self.pixels[y as usize * SIDE + x as usize] } else { 0.0 }
    }
}

/// 1,257 digits to learn from, and 540 to be tested with, which others wrote later.
///
/// # Errors
///
/// A file of another form.
pub fn load(folder: Option<&Path>) -> Result<[Vec<Digit>; 2]> {
    let mut all =
        by_line("digits.csv", &text(folder, "digits.csv", include_str!("../../data/digits/digits.csv"))?, parse)?;
    ensure!(all.len() >= 10, "digits.csv: {} digits; expected at least 10, three in ten for the test", all.len());
    let tested = all.split_off(all.len() * 7 / 10);
    Ok([all, tested])
}

fn parse(line: &str) -> Result<Digit> {
    let numbers = line.split(',').map(|number| number.trim().parse::<u8>());
    let mut numbers = numbers.collect::<Result<Vec<_>, _>>().context("expected whole numbers")?;
    ensure!(numbers.len() == SIDE * SIDE + 1, "expected 64 pixels and a digit, got {} numbers", numbers.len());
    let digit = numbers.pop().unwrap_or(10);
    ensure!(digit < 10 && numbers.iter().all(|&pixel| pixel <= 16), "expected pixels up to 16 and a digit up to 9");
    Ok(Digit { pixels: numbers.into_iter().map(|pixel| f32::from(pixel) / 16.0).collect(), digit: digit.into() })
}
