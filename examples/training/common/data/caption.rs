//! Emoji and their names.

use super::{by_line, bytes, text};
use anyhow::{Context, Result, bail, ensure};
use ndarray::{Array2, Array3, s};
use std::path::Path;

/// Rows and columns of a picture.
pub const SIDE: usize = 24;
/// Letters of the longest name.
pub const LONGEST: usize = 48;

/// A picture and its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Emoji {
    /// [rows, columns, 3]: red, green and blue from 0 to 1.
    pub pixels: Array3<f32>,
    /// Its name in English.
    pub name: String,
}

/// Emoji to learn from, and to be tested with.
///
/// # Errors
///
/// Files of another form.
pub fn load(folder: Option<&Path>) -> Result<[Vec<Emoji>; 2]> {
    let sheet =
        picture(&bytes(folder, "emoji.png", include_bytes!("../../data/caption/emoji.png"))?).context("emoji.png")?;
    let names = text(folder, "emoji.txt", include_str!("../../data/caption/emoji.txt"))?;
    let names = by_line("emoji.txt", &names, |line| {
        let (part, name) = line.split_once('\t').context("expected part, tabulator, name")?;
        ensure!(["train", "test"].contains(&part), "expected 'train' or 'test' first, got '{part}'");
        ensure!(name.len() <= LONGEST && name.is_ascii(), "'{name}': expected at most {LONGEST} plain letters");
        Ok((part == "test", name.to_owned()))
    })?;
    let (rows, columns) = (sheet.dim().0 / SIDE, sheet.dim().1 / SIDE);
    let places = rows * columns;
    ensure!(names.len() <= places, "emoji.png has room for {places} emoji, and emoji.txt {} names", names.len());
    let mut parts = [Vec::new(), Vec::new()];
    for (i, (is_test, name)) in names.into_iter().enumerate() {
        let (top, left) = (i / columns * SIDE, i % columns * SIDE);
        let pixels = sheet.slice(s![top..top + SIDE, left..left + SIDE, ..]);
        let pixels = pixels.as_standard_layout().into_owned();
        parts[usize::from(is_test)].push(Emoji { pixels, name });
    }
    ensure!(parts.iter().all(|part| !part.is_empty()), "emoji.txt: expected both 'train' and 'test'");
    Ok(parts)
}

/// Letters that names have: printable ASCII, from the space on; then the mark before and after a name.
pub const SYMBOLS: usize = 96;
/// The mark before and after a name.
pub const END: u32 = SYMBOLS as u32 - 1;

impl Emoji {
    /// The name's letters as numbers.
    pub fn letters(&self) -> Vec<u32> {
        self.name.bytes().map(|letter| u32::from(letter.clamp(b' ', b'~') - b' ')).collect()
    }
}

/// Letters as a name.
pub fn spelled(letters: &[u32]) -> String {
    letters.iter().map(|&letter| char::from(b' ' + letter.min(END - 1) as u8)).collect()
}

/// Pictures as sequences of rows, [24, N, 72]: how far from white, each moved by some pixels down and to the right. What leaves one edge
/// comes back at the other.
pub fn rows(emoji: &[&Emoji], mut moved: impl FnMut() -> [i32; 2]) -> Array3<f32> {
    let mut rows = Array3::zeros((SIDE, emoji.len(), 3 * SIDE));
    let place = |at: usize, by: i32| (at as i32 - by).rem_euclid(SIDE as i32) as usize;
    for (n, emoji) in emoji.iter().enumerate() {
        let [down, right] = moved();
        let at = |(y, x): (usize, usize)| 1.0 - emoji.pixels[[place(y, down), place(x / 3, right), x % 3]];
        rows.slice_mut(s![.., n, ..]).assign(&Array2::from_shape_fn((SIDE, 3 * SIDE), at));
    }
    rows
}

/// A picture of the caller's own, scaled to the size of an emoji.
///
/// # Errors
///
/// A file that can't be read or is no PNG picture; a picture that is not square or too small.
pub fn open(path: &Path) -> Result<Emoji> {
    let file = std::fs::read(path).with_context(|| format!("--picture {}", path.display()))?;
    let pixels = picture(&file).and_then(|picture| scaled(&picture));
    Ok(Emoji { pixels: pixels.with_context(|| format!("--picture {}", path.display()))?, name: String::new() })
}

/// A square picture scaled down: each pixel is the mean of those that it covers.
fn scaled(picture: &Array3<f32>) -> Result<Array3<f32>> {
    let (rows, columns, _) = picture.dim();
    ensure!(rows == columns, "the picture has {columns} by {rows} pixels: cut it to a square");
    ensure!(rows >= SIDE, "the picture has {columns} by {rows} pixels: {SIDE} by {SIDE} are the least");
    let span = |i: usize| i * rows / SIDE..((i + 1) * rows).div_ceil(SIDE);
    Ok(Array3::from_shape_fn((SIDE, SIDE, 3), |(y, x, c)| {
        picture.slice(s![span(y), span(x), c]).mean().unwrap_or_default()
    }))
}

/// A PNG picture as [rows, columns, 3], red, green and blue from 0 to 1; what is transparent is white.
///
/// # Errors
///
/// A file that is no PNG, or is damaged.
pub fn picture(file: &[u8]) -> Result<Array3<f32>> {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(file));
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().context("expected a PNG picture")?;
    let size = reader.output_buffer_size().context("the picture is too large")?;
    let mut bytes = vec![0; size];
    let frame = reader.next_frame(&mut bytes).context("the picture is damaged")?;
    let (channels, width) = (frame.color_type.samples(), frame.width as usize);
    let colour = |(y, x, c): (usize, usize, usize)| {
        let pixel = &bytes[(y * width + x) * channels..][..channels];
        let byte = |c: usize| f32::from(pixel[c]) / 255.0;
        match channels {
            1 => byte(0),
            2 => 1.0 + (byte(0) - 1.0) * byte(1),
            3 => byte(c),
            _ => 1.0 + (byte(c) - 1.0) * byte(3),
        }
    };
    if !(1..=4).contains(&channels) {
        bail!("a picture of {channels} channels");
    }
    Ok(Array3::from_shape_fn((frame.height as usize, width, 3), colour))
}
