//! Lines of handwritten digits: single digits that people wrote, joined at random, and pictures of a user's own.

use anyhow::{Context, Result, ensure};
use image::{GrayImage, ImageFormat};
use ndarray::{Array2, ArrayView2, s};
use rand_mt::Mt;
use std::path::Path;

/// Rows of a line of writing, and how many of them its ink takes.
pub const HEIGHT: usize = 24;
pub const INK: usize = 20;
/// Blank rows and columns around the ink.
pub const MARGIN: usize = 2;
/// The widest line that is made.
pub const WIDEST: usize = 256;
/// The most digits of a line that is made.
pub const LONGEST: usize = 8;

/// The sheet: tiles of a digit each, so many across, and so many rows for each of the ten digits; of these, the last ones are
/// held out. A digit is drawn larger by `SCALE` first, and the line made smaller then.
const TILE: usize = 28;
const ACROSS: usize = 50;
const ROWS: usize = 17;
const HELD_OUT: usize = 3;
const SCALE: f32 = 1.5;

/// Pictures of each digit, 28 x 28, from 0 (paper) to 1 (ink).
#[derive(Clone, Debug)]
pub struct Digits([Vec<Array2<f32>>; 10]);

/// A line of writing: columns from left to right, [width, HEIGHT], from 0 (paper) to 1 (ink), and its digits.
#[derive(Clone, Debug)]
pub struct Line {
    pub columns: Array2<f32>,
    pub digits: Vec<u32>,
}

impl Digits {
    /// The digits for training and those held out, from the sheet that `scripts/make_handwriting_data.py` makes.
    pub fn read(sheet: &[u8], name: &str) -> Result<[Self; 2]> {
        let picture = image::load_from_memory_with_format(sheet, ImageFormat::Png);
        let sheet = picture.with_context(|| format!("{name}: not a whole PNG picture; make it anew with {SCRIPT}"))?.to_luma8();
        let (width, height) = (ACROSS * TILE, 10 * ROWS * TILE);
        let is_sheet = sheet.width() as usize == width && sheet.height() as usize == height;
        let (got_width, got_height) = sheet.dimensions();
        ensure!(
            is_sheet,
            "{name}: expected a sheet of {width} x {height} pixels, got {got_width} x {got_height}; make it anew with {SCRIPT}"
        );
        let ink = ink(&sheet);
        let tile = |row: usize, column: usize| {
            ink.slice(s![row * TILE..(row + 1) * TILE, column * TILE..(column + 1) * TILE]).to_owned()
        };
        let rows = |rows: std::ops::Range<usize>| {
            let digit = |digit| {
                rows.clone().flat_map(|row| (0..ACROSS).map(move |column| tile(digit * ROWS + row, column))).collect()
            };
            Self(std::array::from_fn(digit))
        };
        Ok([rows(0..ROWS - HELD_OUT), rows(ROWS - HELD_OUT..ROWS)])
    }

    /// All pictures with their digits.
    pub fn all(&self) -> impl Iterator<Item = (ArrayView2<'_, f32>, u32)> {
        self.0.iter().zip(0..).flat_map(|(pictures, digit)| pictures.iter().map(move |each| (each.view(), digit)))
    }

    /// A line of 1 to `LONGEST` digits, as one hand might write them: with one slant, one pen, and gaps and heights that vary.
    pub fn line(&self, random: &mut Mt) -> Line {
        loop {
            let digits: Vec<u32> = (0..1 + below(random, LONGEST)).map(|_| below(random, 10) as u32).collect();
            let pen = Pen::new(random);
            let tiles = digits.iter().map(|&digit| {
                let pictures = &self.0[digit as usize];
                &pictures[below(random, pictures.len())]
            });
            let tiles: Vec<_> = tiles.collect();
            let written = pen.write(&tiles, random);
            if let Some(columns) = normalise(written.view()).filter(|columns| columns.nrows() <= WIDEST) {
                return Line { columns, digits };
            }
        }
    }
}

const SCRIPT: &str = "scripts/make_handwriting_data.py";

fn uniform(random: &mut Mt, from: f32, to: f32) -> f32 {
    from + (to - from) * (random.next_u32() as f32 / 4_294_967_296.0)
}

fn below(random: &mut Mt, end: usize) -> usize {
    (u64::from(random.next_u32()) * end as u64 >> 32) as usize
}

fn ink(picture: &GrayImage) -> Array2<f32> {
    let (width, height) = picture.dimensions();
    let pixels = picture.as_raw().iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
    Array2::from_shape_vec((height as usize, width as usize), pixels).unwrap_or_default()
}

/// How a line is written.
struct Pen {
    slant: f32,
    width: f32,
    height: f32,
    gap: f32,
    /// Below this much ink, after blurring, there is paper: small for a thick pen.
    threshold: f32,
}

impl Pen {
    fn new(random: &mut Mt) -> Self {
        Self {
            slant: uniform(random, -0.25, 0.25),
            width: uniform(random, 0.75, 1.25),
            height: uniform(random, 0.85, 1.15),
            gap: uniform(random, 0.0, 7.0),
            threshold: uniform(random, 0.2, 0.5),
        }
    }

    /// Pictures of digits joined to a line [height, width].
    fn write(&self, tiles: &[&Array2<f32>], random: &mut Mt) -> Array2<f32> {
        let side = (TILE as f32 * SCALE * 1.6) as usize;
        let mut line = Array2::<f32>::zeros((side, side * tiles.len()));
        let mut right = 0_isize;
        for tile in tiles {
            let glyph = self.draw(tile, random, side);
            let ends = |axis| ends(glyph.view(), axis);
            let Some((first, end)) = ends(1) else { continue };
            let gap = SCALE * (self.gap + uniform(random, -2.0, 2.0));
            let left = if right == 0 { 0 } else { (right + gap as isize).max(0) };
            for ((y, x), &value) in glyph.slice(s![.., first..end]).indexed_iter() {
                if let Some(pixel) = line.get_mut((y, left as usize + x)) {
                    *pixel = pixel.max(value);
                }
            }
            right = right.max(left + (end - first) as isize);
        }
        line
    }

    /// A digit, slanted, stretched, turned and moved, in a square.
    fn draw(&self, tile: &Array2<f32>, random: &mut Mt, side: usize) -> Array2<f32> {
        let (sin, cos) = uniform(random, -0.1, 0.1).sin_cos();
        let size = uniform(random, 0.85, 1.1);
        let across = SCALE * size * self.width * uniform(random, 0.9, 1.1);
        let down = SCALE * size * self.height * uniform(random, 0.95, 1.05);
        let slant = self.slant + uniform(random, -0.08, 0.08);
        let lift = SCALE * uniform(random, -2.0, 2.0);
        let middle = side as f32 / 2.0;
        let source = (TILE as f32 - 1.0) / 2.0;
        let blurred = blur(tile);
        Array2::from_shape_fn((side, side), |(y, x)| {
            // Back from the square to the tile.
            let (dx, dy) = (x as f32 - middle, y as f32 - middle - lift);
            let (dx, dy) = (cos * dx + sin * dy, cos * dy - sin * dx);
            let dx = dx + slant * dy;
            let value = sample(&blurred, source + dy / down, source + dx / across);
            ((value - self.threshold) * 3.0 + 0.3).clamp(0.0, 1.0)
        })
    }
}

/// Each pixel with its neighbours, by the weights 1, 2, 1 along both axes.
fn blur(picture: &Array2<f32>) -> Array2<f32> {
    let at = |y: isize, x: isize| picture.get((y as usize, x as usize)).copied().unwrap_or(0.0);
    let weights = [(-1, 1.0), (0, 2.0), (1, 1.0)];
    Array2::from_shape_fn(picture.dim(), |(y, x)| {
        let (y, x) = (y as isize, x as isize);
        let row = |dy| weights.iter().map(|&(dx, weight)| weight * at(y + dy, x + dx)).sum::<f32>();
        weights.iter().map(|&(dy, weight)| weight * row(dy)).sum::<f32>() / 16.0
    })
}

/// The value between pixels.
fn sample(picture: &Array2<f32>, y: f32, x: f32) -> f32 {
    let (top, left) = (y.floor(), x.floor());
    let (dy, dx) = (y - top, x - left);
    let at = |y: f32, x: f32| if y < 0.0 || x < 0.0 { 0.0 } else { picture.get((y as usize, x as usize)).copied().unwrap_or(0.0) };
    let row = |y| (1.0 - dx) * at(y, left) + dx * at(y, left + 1.0);
    (1.0 - dy) * row(top) + dy * row(top + 1.0)
}

/// From the first row (axis 0) or column (axis 1) with ink to the one after the last.
fn ends(picture: ArrayView2<'_, f32>, axis: usize) -> Option<(usize, usize)> {
    let has_ink = |lane: ndarray::ArrayView1<'_, f32>| lane.iter().any(|&value| value > 0.5);
    let lanes: Vec<bool> = picture.axis_iter(ndarray::Axis(axis)).map(has_ink).collect();
    let first = lanes.iter().position(|&ink| ink)?;
    lanes.iter().rposition(|&ink| ink).map(|last| (first, last + 1))
}

/// A line as the network reads it, [width, HEIGHT], from a picture [height, width] of ink from 0 to 1: cut to its ink (more than
/// 0.5), scaled to `INK` rows by the means of areas, its darkest pixel 1, with a margin of 2 pixels, and as many blank columns at the end as make its
/// width a multiple of 4. None where there is no ink.
pub fn normalise(picture: ArrayView2<'_, f32>) -> Option<Array2<f32>> {
    let (top, bottom) = ends(picture, 0)?;
    let (left, right) = ends(picture, 1)?;
    let ink = picture.slice(s![top..bottom, left..right]);
    let scale = (bottom - top) as f32 / INK as f32;
    let width = (((right - left) as f32 / scale).round() as usize).max(1);
    let across = (right - left) as f32 / width as f32;
    let rows = areas(ink, INK, scale);
    let small = areas(rows.t(), width, across);
    let darkest = small.iter().copied().fold(0.0, f32::max);
    let total = (width + 2 * MARGIN).next_multiple_of(4);
    let mut columns = Array2::zeros((total, HEIGHT));
    columns.slice_mut(s![MARGIN..MARGIN + width, MARGIN..MARGIN + INK]).assign(&(small / darkest));
    Some(columns)
}

/// `count` rows, each the mean of `scale` rows.
fn areas(picture: ArrayView2<'_, f32>, count: usize, scale: f32) -> Array2<f32> {
    let mut out = Array2::zeros((count, picture.ncols()));
    for (k, mut row) in out.outer_iter_mut().enumerate() {
        let (from, to) = (k as f32 * scale, (k + 1) as f32 * scale);
        for y in from as usize..(to.ceil() as usize).min(picture.nrows()) {
            let part = ((y + 1) as f32).min(to) - (y as f32).max(from);
            row.scaled_add(part / scale, &picture.row(y));
        }
    }
    out
}

/// A picture of a user's own, as the network reads it.
pub fn picture(path: &Path) -> Result<Array2<f32>> {
    let name = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("{name}: cannot be read"))?;
    let picture = image::load_from_memory(&bytes).with_context(|| format!("{name}: expected a picture, PNG or PGM"))?;
    let ink = ink(&picture.to_luma8());
    let paper = median(&ink);
    // Dark on light paper or light on dark.
    let contrast = ink.mapv(|value| (value - paper).abs());
    let most = contrast.iter().copied().fold(0.0, f32::max);
    ensure!(most > 0.2, "{name}: no writing on it: expected digits that are darker or lighter than the paper");
    let columns = normalise((contrast / most).view()).with_context(|| format!("{name}: no writing on it"))?;
    let (width, most) = (columns.nrows(), 8 * WIDEST);
    ensure!(
        width <= most,
        "{name}: the line is {width} pixels wide when its ink is {INK} pixels high, more than {most}: cut it into shorter lines"
    );
    Ok(columns)
}

fn median(values: &Array2<f32>) -> f32 {
    let mut sorted: Vec<f32> = values.iter().copied().collect();
    let middle = sorted.len() / 2;
    if sorted.is_empty() {
        return 0.0;
    }
    *sorted.select_nth_unstable_by(middle, f32::total_cmp).1
}
