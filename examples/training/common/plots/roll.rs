//! Music as a piano roll: time from left to right, pitch from bottom to top.

use super::{COLOURS, Drawn, finish};
use anyhow::{Result, ensure};
use plotters::prelude::*;
use std::path::Path;

/// A piece.
#[derive(Clone, Debug)]
pub struct Roll {
    /// What stands above it.
    pub name: String,
    /// Steps before the first bar line, and of a bar.
    pub bars: [usize; 2],
    /// Each voice's notes: begin and length in steps, and MIDI number.
    pub voices: Vec<Vec<(usize, usize, u32)>>,
}

/// Width of a step and height of a half tone.
const STEP: i32 = 4;
const TONE: i32 = 6;
const LEFT: i32 = 52;
const ABOVE: i32 = 30;

/// Pieces one below the other, on one scale; a voice has the same colour in all of them.
///
/// # Errors
///
/// No notes; a file that can't be written.
pub fn rolls(path: &Path, title: &str, voices: &[&str], pieces: &[Roll]) -> Result<()> {
    let notes = || pieces.iter().flat_map(|piece| piece.voices.iter().flatten());
    let steps = notes().map(|&(begin, length, _)| begin + length).max().unwrap_or(0) as i32;
    ensure!(steps > 0, "{}: nothing to draw", path.display());
    let low = notes().map(|note| note.2).min().unwrap_or(0) as i32 - 1;
    let high = notes().map(|note| note.2).max().unwrap_or(0) as i32 + 1;
    let height = (high - low + 1) * TONE;
    let width = (LEFT + steps * STEP + 24).max(560);
    let root = SVGBackend::new(path, (width as u32, (64 + pieces.len() as i32 * (height + ABOVE + 24)) as u32));
    let root = root.into_drawing_area();
    let draw = || -> Drawn {
        root.fill(&WHITE)?;
        let font = |size: i32| ("sans-serif", size).into_font().color(&RGBColor(40, 40, 40));
        root.draw(&Text::new(title.to_owned(), (12, 10), font(20)))?;
        for (i, (voice, colour)) in voices.iter().zip(COLOURS).enumerate() {
            let x = LEFT + i as i32 * 100;
            root.draw(&Rectangle::new([(x, 44), (x + 16, 54)], colour.filled()))?;
            root.draw(&Text::new((*voice).to_owned(), (x + 22, 41), font(14)))?;
        }
        for (i, piece) in pieces.iter().enumerate() {
            let top = 64 + i as i32 * (height + ABOVE + 24) + ABOVE;
            root.draw(&Text::new(piece.name.clone(), (LEFT, top - 20), font(15)))?;
            let edges = [(LEFT, top), (LEFT + steps * STEP, top + height)];
            root.draw(&Rectangle::new(edges, RGBColor(246, 246, 246).filled()))?;
            for c in (low..=high).filter(|tone| tone % 12 == 0) {
                let y = top + (high - c) * TONE + TONE / 2;
                root.draw(&PathElement::new([(LEFT, y), (LEFT + steps * STEP, y)], BLACK.mix(0.12)))?;
                root.draw(&Text::new(format!("C{}", c / 12 - 1), (LEFT - 30, y - 7), font(14)))?;
            }
            let [upbeat, bar] = piece.bars.map(|steps| steps as i32);
            for step in (upbeat..=steps).step_by(bar.max(1) as usize) {
                let x = LEFT + step * STEP;
                root.draw(&PathElement::new([(x, top), (x, top + height)], BLACK.mix(0.3)))?;
            }
            for (voice, colour) in piece.voices.iter().zip(COLOURS.iter().cycle()) {
                for &(begin, length, tone) in voice {
                    let (x, y) = (LEFT + begin as i32 * STEP, top + (high - tone as i32) * TONE);
                    let corners = [(x, y), (x + length as i32 * STEP - 1, y + TONE)];
                    root.draw(&Rectangle::new(corners, colour.filled()))?;
                }
            }
        }
        root.present()?;
        Ok(())
    };
    finish(path, draw())
}
