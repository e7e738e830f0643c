//! Lines of handwritten digits: single digits that people wrote, joined at random, and pictures of a user's own.

use super::{bytes, grey::grey};
use anyhow::{Context, Result, bail, ensure};
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, s};
use rand_mt::Mt;
use std::ops::Range;
use std::path::Path;

/// Rows of a line of writing, and how many of them its ink takes.
pub const HEIGHT: usize = 24;
pub(crate) const INK: usize = 20;
/// Blank rows and columns around the ink.
const MARGIN: usize = 2;
/// A line's width is a multiple of this.
pub const STRIDE: usize = 4;
/// The widest line that is made, and the widest that is read.
pub const WIDEST: usize = 288;
const READ: usize = 2048;
/// The most digits of a line that is made.
pub const LONGEST: usize = 8;

/// The sheet: tiles of a digit each, so many across, and so many rows for each of the ten digits; the last of these are held
/// out.
const TILE: usize = 28;
const ACROSS: usize = 50;
const ROWS: usize = 17;
const HELD_OUT: usize = 3;
/// Digits are written so much larger, and the line is made smaller then.
const SCALE: f32 = 1.5;

/// Pictures of each of the ten digits, 28 x 28, from 0 (paper) to 1 (ink).
#[derive(Clone, Debug)]
pub struct Digits([Vec<Array2<f32>>; 10]);

/// A line of writing.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Columns from left to right, [width, 24], from 0 (paper) to 1 (ink).
    pub columns: Array2<f32>,
    /// What it says.
    pub digits: Vec<usize>,
}

impl Line {
    /// As the network reads it.
    pub fn example(&self) -> (ArrayView2<'_, f32>, &[usize]) {
        (self.columns.view(), &self.digits)
    }
}

/// Digits as text.
pub fn text(digits: &[usize]) -> String {
    digits.iter().map(usize::to_string).collect()
}

/// Digits to learn from, and others to be tested with.
///
/// # Errors
///
/// A file of another form.
pub fn load(folder: Option<&Path>) -> Result<[Digits; 2]> {
    let sheet = bytes(folder, "digits.png", include_bytes!("../../data/handwriting/digits.png"))?;
    let ink = grey(&sheet).context("digits.png")?;
    let size = (10 * ROWS * TILE, ACROSS * TILE);
    let form = "ten digits, 17 rows of each, of 50 tiles of 28 x 28 pixels";
    let (rows, columns) = ink.dim();
    ensure!(
        (rows, columns) == size,
        "digits.png: expected {} x {} pixels ({form}), got {columns} x {rows}",
        size.1,
        size.0
    );
    let tile = |row: usize, column: usize| {
        ink.slice(s![row * TILE..(row + 1) * TILE, column * TILE..(column + 1) * TILE]).to_owned()
    };
    let blank = (0..10 * ROWS * ACROSS).find(|i| tile(i / ACROSS, i % ACROSS).iter().all(|&pixel| pixel <= 0.5));
    if let Some(i) = blank {
        bail!("digits.png: no digit in row {}, column {} of the sheet ({form})", i / ACROSS + 1, i % ACROSS + 1);
    }
    let some = |rows: Range<usize>| {
        let row = |row| (0..ACROSS).map(move |column| tile(row, column));
        Digits(std::array::from_fn(|digit| rows.clone().flat_map(|k| row(digit * ROWS + k)).collect()))
    };
    Ok([some(0..ROWS - HELD_OUT), some(ROWS - HELD_OUT..ROWS)])
}

impl Digits {
    /// All pictures with their digits.
    pub fn all(&self) -> impl Iterator<Item = (ArrayView2<'_, f32>, usize)> {
        let pictures = self.0.iter().enumerate();
        pictures.flat_map(|(digit, pictures)| pictures.iter().map(move |picture| (picture.view(), digit)))
    }

    /// Lines of 1 to 8 digits, each as one hand might write it: with one slant and one pen; heights and gaps vary, and some digits
    /// touch. The same seed and step give the same lines.
    pub fn lines(&self, count: usize, seed: u32, step: u32) -> Vec<Line> {
        let mut random = Mt::new_with_key([seed, step]);
        let lines = std::iter::repeat_with(|| self.line(&mut random));
        lines.flatten().filter(|line| line.columns.nrows() <= WIDEST).take(count).collect()
    }

    fn line(&self, random: &mut Mt) -> Option<Line> {
        let digits: Vec<usize> = (0..1 + below(random, LONGEST)).map(|_| below(random, 10)).collect();
        let pen = Pen::new(random);
        let tile = |&digit: &usize| {
            let pictures = &self.0[digit];
            pictures.get(below(random, pictures.len()))
        };
        let tiles: Vec<_> = digits.iter().filter_map(tile).collect();
        let columns = normalise(pen.write(&tiles, random).view())?;
        Some(Line { columns, digits })
    }
}

fn uniform(random: &mut Mt, from: f32, to: f32) -> f32 {
    from + (to - from) * (random.next_u32() as f32 / 4_294_967_296.0)
}

fn below(random: &mut Mt, end: usize) -> usize {
    ((u64::from(random.next_u32()) * end as u64) >> 32) as usize
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
            // Some leave wide gaps.
            gap: if below(random, 4) == 0 { uniform(random, 7.0, 20.0) } else { uniform(random, 0.0, 7.0) },
            threshold: uniform(random, 0.2, 0.42),
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
    let at = |y: f32, x: f32| {
        if y < 0.0 || x < 0.0 { 0.0 } else { picture.get((y as usize, x as usize)).copied().unwrap_or(0.0) }
    };
    let row = |y| (1.0 - dx) * at(y, left) + dx * at(y, left + 1.0);
    (1.0 - dy) * row(top) + dy * row(top + 1.0)
}

/// From the first row (axis 0) or column (axis 1) with ink to the one after the last.
pub(crate) fn ends(picture: ArrayView2<'_, f32>, axis: usize) -> Option<(usize, usize)> {
    let has_ink = |lane: ArrayView1<'_, f32>| lane.iter().any(|&value| value > 0.5);
    let lanes: Vec<bool> = picture.axis_iter(Axis(axis)).map(has_ink).collect();
    let first = lanes.iter().position(|&ink| ink)?;
    lanes.iter().rposition(|&ink| ink).map(|last| (first, last + 1))
}

/// A line as the network reads it, columns [width, 24], from a picture [rows, columns] of ink from 0 to 1: cut to its ink, which is
/// what is above 0.5, scaled to a height of 20 pixels by the means of areas, divided by its largest pixel, and put among blank pixels, 2 above,
/// below and to the left, 2 or more to the right, so that the width is a multiple of 4. None where there is no ink.
fn normalise(picture: ArrayView2<'_, f32>) -> Option<Array2<f32>> {
    let (top, bottom) = ends(picture, 0)?;
    let (left, right) = ends(picture, 1)?;
    let ink = picture.slice(s![top..bottom, left..right]);
    let scale = (bottom - top) as f32 / INK as f32;
    let width = (((right - left) as f32 / scale).round() as usize).max(1);
    let across = (right - left) as f32 / width as f32;
    let rows = areas(ink, INK, scale);
    let small = areas(rows.t(), width, across);
    let darkest = small.iter().copied().fold(0.0, f32::max);
    let total = (width + 2 * MARGIN).next_multiple_of(STRIDE);
    let mut columns = Array2::zeros((total, HEIGHT));
    columns.slice_mut(s![MARGIN..MARGIN + width, MARGIN..MARGIN + INK]).assign(&(small / darkest));
    Some(columns)
}

/// `count` rows, each the mean of `scale` rows.
pub(crate) fn areas(picture: ArrayView2<'_, f32>, count: usize, scale: f32) -> Array2<f32> {
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

/// A picture of a user's own, as the network reads it: dark ink on light paper, or light on dark.
///
/// # Errors
///
/// A file that is no PNG, has no writing on it, or a line that is too long.
pub fn own(path: &Path) -> Result<Array2<f32>> {
    let name = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("{name}: cannot be read"))?;
    let pixels = grey(&bytes).with_context(|| name.to_string())?;
    let paper = median(&pixels);
    let contrast = pixels.mapv(|value| (value - paper).abs());
    let most = contrast.iter().copied().fold(0.0, f32::max);
    let blank = || format!("{name}: no writing on it: expected a line of digits, darker or lighter than the paper");
    ensure!(most > 0.2, blank());
    let ink = contrast / most;
    let size = [1, 0].map(|axis| ends(ink.view(), axis).map_or(0, |(first, end)| end - first));
    ensure!(
        size[0] * INK <= READ * size[1],
        "{name}: the writing is {} times as wide as high; expected a line of digits, at most {} times: cut it into shorter ones",
        size[0] / size[1].max(1),
        READ / INK
    );
    normalise(ink.view()).with_context(blank)
}

fn median(values: &Array2<f32>) -> f32 {
    let mut sorted: Vec<f32> = values.iter().copied().collect();
    if sorted.is_empty() {
        return 0.0;
    }
    let middle = sorted.len() / 2;
    *sorted.select_nth_unstable_by(middle, f32::total_cmp).1
}
