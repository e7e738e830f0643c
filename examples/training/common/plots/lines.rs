//! Lines over common axes, as an SVG file.

use super::{COLOURS, Drawn, finish};
use anyhow::Result;
use plotters::prelude::*;
use std::path::Path;

/// A named line of a picture: points (x, y).
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// What the legend says.
    pub name: &'a str,
    /// Points (x, y); those that are no numbers are left out of the axes.
    pub points: Vec<(f64, f64)>,
}

/// A strip between two lines, from its lower edge to its upper one.
#[derive(Clone, Debug)]
pub struct Band<'a> {
    /// What the legend says.
    pub name: &'a str,
    /// Points (x, y) of the lower edge.
    pub low: Vec<(f64, f64)>,
    /// Points (x, y) of the upper edge.
    pub high: Vec<(f64, f64)>,
}

/// Lines over common axes, as an SVG file.
///
/// # Errors
///
/// No point at all; a file that can't be written.
pub fn lines(path: &Path, title: &str, axes: [&str; 2], all: &[Line<'_>]) -> Result<()> {
    bands(path, title, axes, all, &[])
}

/// Lines, and strips behind them in the colours of the lines.
///
/// # Errors
///
/// Those of [`lines`].
pub fn bands(path: &Path, title: &str, axes: [&str; 2], all: &[Line<'_>], behind: &[Band<'_>]) -> Result<()> {
    let [x_name, y_name] = axes;
    let edges = || behind.iter().flat_map(|band| band.low.iter().chain(&band.high).copied());
    let points = || all.iter().flat_map(|line| line.points.iter().copied()).chain(edges());
    let points = || points().filter(|(x, y)| (x + y).is_finite());
    let range = |values: &mut dyn Iterator<Item = f64>| {
        let (least, most) = values.fold((f64::MAX, f64::MIN), |(a, b), value| (a.min(value), b.max(value)));
        let margin = if most > least { 0.05 * (most - least) } else { 0.5 };
        (least, most, margin)
    };
    anyhow::ensure!(points().next().is_some(), "{}: nothing to draw", path.display());
    let (left, right, _) = range(&mut points().map(|point| point.0));
    // A single point has an axis too.
    let right = if right > left { right } else { left + 1.0 };
    let (low, high, margin) = range(&mut points().map(|point| point.1));
    let root = SVGBackend::new(path, (900, 500)).into_drawing_area();
    let draw = || -> Drawn {
        root.fill(&WHITE)?;
        let body = root.margin(12, 0, 0, 0).titled(title, ("sans-serif", 22))?;
        let (names, body) = body.split_vertically(if all.len() + behind.len() > 1 { 28 } else { 0 });
        legend(&names, all, behind)?;
        let mut chart = ChartBuilder::on(&body)
            .margin(16)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(left..right, low - margin..high + margin)?;
        chart
            .configure_mesh()
            .x_desc(x_name)
            .y_desc(y_name)
            .light_line_style(TRANSPARENT)
            .bold_line_style(BLACK.mix(0.1))
            .label_style(("sans-serif", 14))
            .x_label_formatter(&short)
            .y_label_formatter(&short)
            .draw()?;
        for (band, colour) in behind.iter().zip(COLOURS.iter().cycle()) {
            let outline: Vec<_> = band.low.iter().chain(band.high.iter().rev()).copied().collect();
            chart.draw_series([Polygon::new(outline, colour.mix(STRIP).filled())])?;
        }
        for (line, colour) in all.iter().zip(COLOURS.iter().cycle()) {
            let style = ShapeStyle::from(colour).stroke_width(2);
            chart.draw_series(LineSeries::new(line.points.iter().copied(), style))?;
        }
        root.present()?;
        Ok(())
    };
    finish(path, draw())
}

/// A number without needless digits.
fn short(number: &f64) -> String {
    ((number * 1e4).round() / 1e4).to_string()
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// How much of its colour a strip has.
const STRIP: f64 = 0.2;

/// The names beside each other, in a strip of their own: inside the chart they would cover some line.
fn legend(area: &Area<'_>, lines: &[Line<'_>], bands: &[Band<'_>]) -> Drawn {
    let colours = || COLOURS.iter().cycle();
    let bands = bands.iter().zip(colours()).map(|(band, colour)| (band.name, colour.mix(STRIP), 12));
    let lines = lines.iter().zip(colours()).map(|(line, colour)| (line.name, colour.mix(1.0), 2));
    let names: Vec<_> = lines.chain(bands).collect();
    if names.len() < 2 {
        return Ok(());
    }
    let font = ("sans-serif", 14).into_text_style(area);
    let widths = names.iter().map(|(name, ..)| Ok(area.estimate_text_size(name, &font)?.0 as i32 + 60));
    let widths: Vec<i32> = widths.collect::<Result<_, Box<dyn std::error::Error>>>()?;
    let mut x = (area.dim_in_pixel().0 as i32 - widths.iter().sum::<i32>()) / 2;
    for ((name, colour, width), step) in names.into_iter().zip(widths) {
        area.draw(&PathElement::new([(x, 16), (x + 24, 16)], ShapeStyle::from(colour).stroke_width(width)))?;
        area.draw(&Text::new(name, (x + 32, 9), font.clone()))?;
        x += step;
    }
    Ok(())
}
