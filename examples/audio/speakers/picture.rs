//! A picture of a table of similarities, as an SVG file: the darker, the more alike.

use anyhow::{Context, Result, anyhow};
use ndarray::Array2;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;

const ALIKE: RGBColor = RGBColor(0, 114, 178);
/// Side of a square.
const SIDE: i32 = 44;
/// Where the squares begin, from the top.
const TOP: i32 = 60;
/// Width of a letter, about.
const LETTER: usize = 8;
const FONT: (&str, i32) = ("sans-serif", 13);

pub fn draw(path: &Path, names: &[String], similarities: &Array2<f32>) -> Result<()> {
    let letters = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let left = 50 + (LETTER * letters) as i32;
    let extent = SIDE * names.len() as i32 + 20;
    let size = ((left + extent) as u32, (TOP + extent) as u32);
    let root = SVGBackend::new(path, size).into_drawing_area();
    let draw = || -> Result<(), Box<dyn std::error::Error>> {
        root.fill(&WHITE)?;
        let text = |words: String, at: (i32, i32), colour: RGBColor, across: HPos| {
            let style = FONT.into_font().color(&colour).pos(Pos::new(across, VPos::Center));
            root.draw(&Text::new(words, at, style))
        };
        text("similarity of voices".to_owned(), (left, 18), BLACK, HPos::Left)?;
        for (i, name) in names.iter().enumerate() {
            let middle = SIDE * i as i32 + SIDE / 2;
            text((i + 1).to_string(), (left + middle, TOP - 14), BLACK, HPos::Center)?;
            text(format!("{}  {name}", i + 1), (left - 10, TOP + middle), BLACK, HPos::Right)?;
        }
        for ((row, column), &similarity) in similarities.indexed_iter() {
            let (x, y) = (left + SIDE * column as i32, TOP + SIDE * row as i32);
            let shade = f64::from(similarity).clamp(0.0, 1.0);
            root.draw(&Rectangle::new([(x, y), (x + SIDE - 1, y + SIDE - 1)], ALIKE.mix(shade.powi(2)).filled()))?;
            let colour = if shade > 0.95 { WHITE } else { BLACK };
            text(format!("{similarity:.2}"), (x + SIDE / 2, y + SIDE / 2), colour, HPos::Center)?;
        }
        root.present()?;
        Ok(())
    };
    draw().map_err(|error| anyhow!("{error}")).with_context(|| path.display().to_string())
}
