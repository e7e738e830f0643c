//! What examples share: the choice of a device, a progress bar, pictures.

#![allow(dead_code, reason = "each example uses a part of it")]

pub mod interrupt;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use plotters::prelude::*;
use std::path::Path;
use std::time::Duration;
use wgrnn::Device;

/// Which device to use.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Choice {
    /// The best GPU, be it in software; an error where there is none.
    Gpu,
    /// This computer's cores.
    Cpu,
    /// A GPU if there is one, else this computer's cores, which are faster than a GPU in software.
    Auto,
}

impl Choice {
    pub fn device(self) -> Result<Device> {
        let device = match self {
            Self::Gpu => Device::gpu()?,
            Self::Cpu => Device::cpu(),
            Self::Auto => Device::auto(),
        };
        if let Some(note) = device.note() {
            eprintln!("note: {note}");
        }
        eprintln!("device: {}", device.name());
        Ok(device)
    }
}

/// Makes the folder of `--plot`, before the work whose pictures it is for. It is a folder in every example.
pub fn make_folder(folder: Option<&Path>) -> Result<()> {
    let Some(folder) = folder else { return Ok(()) };
    let is_picture = folder.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg"));
    ensure!(!is_picture, "--plot {}: expected a folder, in which pictures get names of their own", folder.display());
    std::fs::create_dir_all(folder).with_context(|| format!("--plot {}", folder.display()))
}

/// Whether a file can be written at a place, as far as can be seen before the work that it is for.
pub fn check_place(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    ensure!(folder.is_dir(), "{}: there is no folder {}", path.display(), folder.display());
    ensure!(!path.is_dir(), "{}: expected a file's name, got that of a folder", path.display());
    Ok(())
}

/// A number with what is counted.
pub fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Adds a file's name to errors that do not have it.
pub fn of_file<T>(path: &Path, result: wgrnn::Result<T>) -> Result<T> {
    let name = path.display().to_string();
    match result {
        Err(error) if error.to_string().starts_with(&name) => Err(error.into()),
        other => other.with_context(|| name),
    }
}

/// A number that is no smaller than 0, to two digits that count.
pub fn two_digits(number: f64) -> String {
    let after_point = if number > 0.0 { (1.0 - number.log10().floor()).clamp(0.0, 12.0) as usize } else { 0 };
    format!("{number:.after_point$}")
}

/// A bar over training steps; `unit` is what is counted a second, `each` of them a step.
pub struct Bar {
    bar: ProgressBar,
    unit: &'static str,
    each: usize,
}

impl Bar {
    pub fn new(steps: u32, unit: &'static str, each: usize) -> Result<Self> {
        let bar = ProgressBar::new(steps.into());
        bar.set_style(ProgressStyle::with_template("{wide_bar} step {pos}/{len}, {msg}, {eta} left")?);
        bar.enable_steady_tick(Duration::from_millis(500));
        Ok(Self { bar, unit, each })
    }

    /// After a step; a loss is shown when it was asked for.
    pub fn step(&self, loss: Option<f32>) {
        self.bar.inc(1);
        if let Some(loss) = loss {
            let rate = self.bar.per_sec() * self.each as f64;
            self.bar.set_message(format!("loss {loss:.3}, {rate:.0} {}/s", self.unit));
        }
    }

    /// Lets Ctrl-C end the training, until what this gives is dropped.
    pub fn listen(&self) -> Result<interrupt::Listening> {
        interrupt::listen(&self.bar)
    }

    /// Prints a line above the bar.
    pub fn line(&self, text: &str) {
        self.bar.suspend(|| println!("{text}"));
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// A named line of a picture: points (x, y).
pub struct Line<'a> {
    pub name: &'a str,
    pub points: Vec<(f64, f64)>,
}

/// Colours that remain apart for most people (Okabe and Ito).
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];

/// Lines over common axes, as an SVG file.
pub fn plot(path: &Path, title: &str, [x_name, y_name]: [&str; 2], lines: &[Line<'_>]) -> Result<()> {
    let points = || lines.iter().flat_map(|line| line.points.iter().copied()).filter(|(x, y)| (x + y).is_finite());
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
    let draw = || -> Result<(), Box<dyn std::error::Error>> {
        root.fill(&WHITE)?;
        let body = root.margin(12, 0, 0, 0).titled(title, ("sans-serif", 22))?;
        let (names, body) = body.split_vertically(if lines.len() > 1 { 28 } else { 0 });
        legend(&names, lines)?;
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
        for (line, colour) in lines.iter().zip(COLOURS.iter().cycle()) {
            let style = ShapeStyle::from(colour).stroke_width(2);
            chart.draw_series(LineSeries::new(line.points.iter().copied(), style))?;
        }
        root.present()?;
        Ok(())
    };
    draw().map_err(|error| anyhow::anyhow!("{error}")).with_context(|| path.display().to_string())
}

/// A number without needless digits.
fn short(number: &f64) -> String {
    ((number * 1e4).round() / 1e4).to_string()
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// The lines' names beside each other, in a strip of their own: inside the chart they would cover some line.
fn legend(area: &Area<'_>, lines: &[Line<'_>]) -> Result<(), Box<dyn std::error::Error>> {
    if lines.len() < 2 {
        return Ok(());
    }
    let font = ("sans-serif", 14).into_text_style(area);
    let widths = lines.iter().map(|line| Ok(area.estimate_text_size(line.name, &font)?.0 as i32 + 60));
    let widths: Vec<i32> = widths.collect::<Result<_, Box<dyn std::error::Error>>>()?;
    let mut x = (area.dim_in_pixel().0 as i32 - widths.iter().sum::<i32>()) / 2;
    for ((line, colour), width) in lines.iter().zip(COLOURS.iter().cycle()).zip(widths) {
        area.draw(&PathElement::new([(x, 16), (x + 24, 16)], ShapeStyle::from(colour).stroke_width(2)))?;
        area.draw(&Text::new(line.name, (x + 32, 9), font.clone()))?;
        x += width;
    }
    Ok(())
}
