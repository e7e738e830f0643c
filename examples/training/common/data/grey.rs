//! Pictures without colours.

use anyhow::{Context, Result, ensure};
use ndarray::Array2;

/// The most pixels of a picture: a small file may have many.
const MOST: u64 = 32_000_000;

/// A PNG picture as [rows, columns], from 0 (black) to 1 (white): the mean of its colours, where it is transparent over white.
///
/// # Errors
///
/// A file that is no PNG, or is damaged; more than 32 million pixels.
pub fn grey(file: &[u8]) -> Result<Array2<f32>> {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(file));
    decoder.set_transformations(png::Transformations::EXPAND | png::Transformations::STRIP_16);
    let mut reader = decoder.read_info().context("expected a PNG picture")?;
    let (width, height) = reader.info().size();
    let is_small = u64::from(width) * u64::from(height) <= MOST;
    ensure!(is_small, "{width} x {height} pixels; expected at most {MOST} in all: make it smaller");
    let size = reader.output_buffer_size().context("the picture is too large")?;
    let mut bytes = vec![0; size];
    let frame = reader.next_frame(&mut bytes).context("the picture is damaged")?;
    let channels = frame.color_type.samples();
    let pixel = |pixel: &[u8]| {
        let has_alpha = channels % 2 == 0;
        let colours = &pixel[..channels - usize::from(has_alpha)];
        let mean = colours.iter().map(|&byte| f32::from(byte)).sum::<f32>() / (255.0 * colours.len() as f32);
        if has_alpha { 1.0 + (mean - 1.0) * f32::from(pixel[channels - 1]) / 255.0 } else { mean }
    };
    let pixels = bytes.chunks_exact(channels).map(pixel).collect();
    Array2::from_shape_vec((frame.height as usize, frame.width as usize), pixels).context("the picture is damaged")
}
