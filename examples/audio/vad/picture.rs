//! A picture of the probability of speech over the waveform, as an SVG file.

use crate::model::{CHUNK, RATE};
use anyhow::{Context, Result, anyhow};
use plotters::prelude::*;
use std::ops::Range;
use std::path::Path;

const WAVE: RGBColor = RGBColor(120, 130, 145);
const LINE: RGBColor = RGBColor(213, 94, 0);
const SPEECH: RGBColor = RGBColor(0, 114, 178);
/// Columns of the waveform: more could not be told apart.
const COLUMNS: usize = 900;

/// A name for the picture of each file: its own without the ending, and a number where another file has it too.
pub fn names(files: &[&Path]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for file in files {
        let stem = file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy();
        let numbered = (2..).map(|number| format!("{stem}-{number}"));
        let free = std::iter::once(stem.to_string()).chain(numbered).find(|name| !names.contains(name));
        names.extend(free);
    }
    names
}

pub fn draw(path: &Path, title: &str, samples: &[f32], probabilities: &[f32], speech: &[Range<usize>]) -> Result<()> {
    let seconds = |sample: usize| sample as f64 / RATE as f64;
    let length = seconds(samples.len().max(CHUNK));
    let each = samples.len().div_ceil(COLUMNS).max(1);
    let loudest = samples.iter().fold(1e-3_f32, |most, sample| most.max(sample.abs()));
    let root = SVGBackend::new(path, (1000, 320)).into_drawing_area();
    let draw = || -> Result<(), Box<dyn std::error::Error>> {
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(40)
            .y_label_area_size(48)
            .build_cartesian_2d(0.0..length, 0.0..1.02_f64)?;
        // Speech first, so that waveform and probability lie over it.
        chart.draw_series(speech.iter().map(|segment| {
            let corners = [(seconds(segment.start), 0.0), (seconds(segment.end), 1.0)];
            Rectangle::new(corners, SPEECH.mix(0.18).filled())
        }))?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_desc("seconds")
            .y_desc("probability of speech")
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.1))
            .label_style(("sans-serif", 13))
            .draw()?;
        chart.draw_series(samples.chunks(each).enumerate().map(|(i, part)| {
            let height = |sample: f32| 0.5 + 0.45 * f64::from(sample / loudest);
            let low = part.iter().fold(0.0_f32, |low, &sample| low.min(sample));
            let high = part.iter().fold(0.0_f32, |high, &sample| high.max(sample));
            let x = seconds(i * each);
            PathElement::new([(x, height(low)), (x, height(high))], WAVE)
        }))?;
        let steps = probabilities.iter().enumerate().flat_map(|(i, &probability)| {
            [i, i + 1].map(|edge| (seconds(edge * CHUNK).min(length), f64::from(probability)))
        });
        chart.draw_series(LineSeries::new(steps, LINE.stroke_width(2)))?;
        root.present()?;
        Ok(())
    };
    draw().map_err(|error| anyhow!("{error}")).with_context(|| path.display().to_string())
}
