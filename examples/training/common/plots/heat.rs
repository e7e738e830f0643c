//! A matrix as colours.

use super::{Drawn, finish};
use anyhow::{Result, ensure};
use ndarray::{Array2, ArrayView2};
use plotters::prelude::*;
use std::path::Path;

/// A matrix and what stands beside it.
#[derive(Clone, Debug)]
pub struct Heat<'a> {
    /// Numbers from 0, white, to 1, dark blue: [rows, columns].
    pub values: ArrayView2<'a, f32>,
    /// Names of the rows.
    pub rows: Vec<String>,
    /// Names of the columns, written below.
    pub columns: Vec<String>,
    /// What the axes are: rows, columns.
    pub axes: [&'a str; 2],
}

/// Which classes are taken for which: a row for each class, with the parts that each answer has of it.
///
/// # Errors
///
/// A file that can't be written.
pub fn confusion(path: &Path, title: &str, names: &[&str], answers: &[usize], classes: &[usize]) -> Result<()> {
    let count = names.len();
    let mut parts = Array2::<f32>::zeros((count, count));
    let known = answers.iter().zip(classes).filter(|(answer, class)| **answer < count && **class < count);
    known.for_each(|(&answer, &class)| parts[[class, answer]] += 1.0);
    for mut row in parts.rows_mut() {
        let sum = row.sum().max(1.0);
        row /= sum;
    }
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let axes = ["what it is", "what the network says"];
    heat(path, title, 40, &Heat { values: parts.view(), rows: names.clone(), columns: names, axes })
}

/// A heat map; a number is a square of `scale` units.
///
/// # Errors
///
/// An empty matrix, names that are not as many as rows or columns, a file that can't be written.
pub fn heat(path: &Path, title: &str, scale: u32, heat: &Heat<'_>) -> Result<()> {
    let (rows, columns) = heat.values.dim();
    ensure!(rows > 0 && columns > 0, "{}: nothing to draw", path.display());
    let names = [heat.rows.len(), heat.columns.len()];
    ensure!(names == [rows, columns], "{names:?} names of [{rows}, {columns}] rows and columns");
    let scale = scale as i32;
    let longest = heat.rows.iter().map(|name| name.chars().count()).max().unwrap_or(0) as i32;
    let (left, top) = (longest * 8 + 44, 44);
    let width = (left + columns as i32 * scale + 20).max(title.chars().count() as i32 * 10 + 20);
    let size = (width as u32, (top + rows as i32 * scale + 56) as u32);
    let root = SVGBackend::new(path, size).into_drawing_area();
    let draw = || -> Drawn {
        root.fill(&WHITE)?;
        let font = |size: i32| ("sans-serif", size).into_font().color(&RGBColor(40, 40, 40));
        root.draw(&Text::new(title.to_owned(), (12, 10), font(18)))?;
        for ((row, column), &value) in heat.values.indexed_iter() {
            let corner = (left + column as i32 * scale, top + row as i32 * scale);
            let share = f64::from(value.clamp(0.0, 1.0));
            let mix = |from: f64, to: f64| (from + (to - from) * share) as u8;
            let colour = RGBColor(mix(250.0, 8.0), mix(250.0, 48.0), mix(250.0, 107.0));
            root.draw(&Rectangle::new([corner, (corner.0 + scale, corner.1 + scale)], colour.filled()))?;
        }
        for (row, name) in heat.rows.iter().enumerate() {
            let x = left - 8 - name.chars().count() as i32 * 8;
            root.draw(&Text::new(name.clone(), (x, top + row as i32 * scale + (scale - 14) / 2), font(14)))?;
        }
        let below = top + rows as i32 * scale;
        for (column, name) in heat.columns.iter().enumerate() {
            let x = left + column as i32 * scale + (scale - 8 * name.chars().count() as i32).max(0) / 2;
            root.draw(&Text::new(name.clone(), (x, below + 6), font(14)))?;
        }
        root.draw(&Text::new(heat.axes[1].to_owned(), (left, below + 30), font(14)))?;
        let turned = font(14).transform(FontTransform::Rotate270);
        root.draw(&Text::new(heat.axes[0].to_owned(), (10, below), turned))?;
        root.present()?;
        Ok(())
    };
    finish(path, draw())
}
