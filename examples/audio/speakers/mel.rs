//! Mel spectrograms as librosa computes them for Resemblyzer: the power in 40 bands of 25 ms of sound, every 10 ms.

use crate::model::{BANDS, RATE};
use anyhow::Result;
use ndarray::Array2;
use realfft::RealFftPlanner;
use std::f64::consts::TAU;

/// Samples from one frame to the next.
pub const HOP: usize = 160;
/// Samples of a frame; the transform is as long.
const FRAME: usize = 400;
/// Frequencies of a frame, 40 Hz apart.
const FREQUENCIES: usize = FRAME / 2 + 1;

/// The frames of some samples, [1 + samples / HOP, BANDS]: each centred at a multiple of HOP, with zeros before the first sample and
/// after the last one, which is librosa's `center=True, pad_mode="constant"`.
pub fn spectrogram(samples: &[f32]) -> Result<Array2<f32>> {
    let transform = RealFftPlanner::<f64>::new().plan_fft_forward(FRAME);
    let window: Vec<f64> = (0..FRAME).map(|i| 0.5 - 0.5 * (TAU * i as f64 / FRAME as f64).cos()).collect();
    let filters = filters();
    let (mut frame, mut spectrum) = (transform.make_input_vec(), transform.make_output_vec());
    let mut scratch = transform.make_scratch_vec();
    let mut mel = Array2::zeros((1 + samples.len() / HOP, BANDS));
    for (t, mut bands) in mel.rows_mut().into_iter().enumerate() {
        for (i, (sample, window)) in frame.iter_mut().zip(&window).enumerate() {
            let at = (t * HOP + i).checked_sub(FRAME / 2);
            *sample = window * f64::from(at.and_then(|at| samples.get(at)).copied().unwrap_or(0.0));
        }
        transform.process_with_scratch(&mut frame, &mut spectrum, &mut scratch)?;
        for (band, filter) in bands.iter_mut().zip(filters.rows()) {
            *band = filter.iter().zip(&spectrum).map(|(weight, bin)| weight * bin.norm_sqr()).sum::<f64>() as f32;
        }
    }
    Ok(mel)
}

/// Triangles over the frequencies, [BANDS, FREQUENCIES], each of area 1 over Hz, their corners equally spaced on the mel scale.
/// Source: Slaney, Auditory Toolbox, 1998, which is librosa's default.
fn filters() -> Array2<f64> {
    let nyquist = RATE as f64 / 2.0;
    let corner = |i: usize| hertz(mel(nyquist) * i as f64 / (BANDS + 1) as f64);
    Array2::from_shape_fn((BANDS, FREQUENCIES), |(band, bin)| {
        let [low, middle, high] = [band, band + 1, band + 2].map(corner);
        let frequency = (bin * RATE) as f64 / FRAME as f64;
        let height = ((frequency - low) / (middle - low)).min((high - frequency) / (high - middle));
        height.max(0.0) * 2.0 / (high - low)
    })
}

/// Linear below this frequency and this many mels, logarithmic above.
const KNEE: (f64, f64) = (1000.0, 15.0);
/// Mels for a factor of 6.4.
const MELS: f64 = 27.0;

fn mel(hertz: f64) -> f64 {
    let (knee, mels) = KNEE;
    if hertz < knee { hertz * mels / knee } else { mels + MELS * (hertz / knee).ln() / 6.4_f64.ln() }
}

fn hertz(mel: f64) -> f64 {
    let (knee, mels) = KNEE;
    if mel < mels { mel * knee / mels } else { knee * 6.4_f64.powf((mel - mels) / MELS) }
}
