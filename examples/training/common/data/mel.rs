//! What the lesson `speech` hears: sound as levels in 32 bands of frequency, 80 times a second.

use anyhow::{Context, Result, anyhow, ensure};
use hound::{SampleFormat, WavReader};
use ndarray::{Array2, s};
use realfft::RealFftPlanner;
use std::f64::consts::TAU;
use std::path::Path;

/// Samples a second, those of a frame, and those from one frame to the next.
pub const RATE: u32 = 16_000;
const FRAME: usize = 512;
const HOP: usize = 200;
/// Bands of a frame, and the frequencies between which they lie.
pub const BANDS: usize = 32;
const LOWEST: f64 = 80.0;
const HIGHEST: f64 = 7600.0;
/// Decibels below the loudest band that are 0.
const RANGE: f64 = 60.0;
/// Frames before the first and after the last one with a level above this are cut off, but for so many.
const QUIET: f32 = 0.3;
const AROUND: usize = 4;
/// The longest recording that is heard, in seconds.
const LONGEST: u32 = 60;

/// Levels [frames, BANDS] of sound at 16 kHz, from 0 to 1. For each frame of 512 samples, 200 apart, under a Hann window
/// 0.5 − 0.5·cos(2πi / 512):
///
/// - P is the squared magnitude of its Fourier transform at the frequencies f = 16000·k / 512, k from 0 to 256;
/// - Eᵇ = Σ P(f)·max(0, min((f − cᵇ) / (cᵇ⁺¹ − cᵇ), (cᵇ⁺² − f) / (cᵇ⁺² − cᵇ⁺¹))), with 34 corners c from 80 to 7600 Hz, evenly spaced on the mel
///   scale, 2595·log₁₀(1 + f / 700);
/// - the level is 10·log₁₀(Eᵇ + 10⁻¹⁰), less the largest of the whole recording, / 60 + 1, and at least 0.
///
/// Frames before the first and after the last one that has a level above 0.3 are left out, but for 4 on each side.
///
/// # Errors
///
/// Sound without a sample that is not 0.
pub fn levels(samples: &[f32]) -> Result<Array2<f32>> {
    let transform = RealFftPlanner::<f64>::new().plan_fft_forward(FRAME);
    let window: Vec<f64> = (0..FRAME).map(|i| 0.5 - 0.5 * (TAU * i as f64 / FRAME as f64).cos()).collect();
    let filters = filters();
    let (mut frame, mut spectrum) = (transform.make_input_vec(), transform.make_output_vec());
    let frames = 1 + samples.len().saturating_sub(FRAME) / HOP;
    let mut levels = Array2::<f64>::zeros((frames, BANDS));
    for (t, mut bands) in levels.rows_mut().into_iter().enumerate() {
        for (i, (sample, window)) in frame.iter_mut().zip(&window).enumerate() {
            *sample = window * f64::from(samples.get(t * HOP + i).copied().unwrap_or(0.0));
        }
        transform.process(&mut frame, &mut spectrum)?;
        for (band, filter) in bands.iter_mut().zip(filters.rows()) {
            let energy: f64 = filter.iter().zip(&spectrum).map(|(weight, bin)| weight * bin.norm_sqr()).sum();
            *band = 10.0 * (energy + 1e-10).log10();
        }
    }
    let loudest = levels.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    ensure!(loudest > -90.0, "it is silent");
    let levels = levels.mapv(|level| (1.0 + (level - loudest) / RANGE).clamp(0.0, 1.0) as f32);
    let is_loud = |frame: ndarray::ArrayView1<'_, f32>| frame.iter().any(|&level| level > QUIET);
    let loud: Vec<usize> = (0..frames).filter(|&t| is_loud(levels.row(t))).collect();
    let (first, last) = (loud.first().copied().unwrap_or(0), loud.last().copied().unwrap_or(frames - 1));
    Ok(levels.slice(s![first.saturating_sub(AROUND)..(last + 1 + AROUND).min(frames), ..]).to_owned())
}

/// Triangles over the frequencies, [BANDS, FRAME / 2 + 1].
fn filters() -> Array2<f64> {
    let mel = |hertz: f64| 2595.0 * (1.0 + hertz / 700.0).log10();
    let corner = |i: usize| {
        let mels = mel(LOWEST) + (mel(HIGHEST) - mel(LOWEST)) * i as f64 / (BANDS + 1) as f64;
        700.0 * (10.0_f64.powf(mels / 2595.0) - 1.0)
    };
    Array2::from_shape_fn((BANDS, FRAME / 2 + 1), |(band, bin)| {
        let [low, middle, high] = [band, band + 1, band + 2].map(corner);
        let frequency = bin as f64 * f64::from(RATE) / FRAME as f64;
        ((frequency - low) / (middle - low)).min((high - frequency) / (high - middle)).max(0.0)
    })
}

/// The levels of a recording of a user's own: a WAV file of 16 bits at 16 kHz; channels are mixed.
///
/// # Errors
///
/// A file that is no such recording, or is silent.
pub fn own(path: &Path) -> Result<Array2<f32>> {
    samples(path).and_then(|samples| levels(&samples)).with_context(|| path.display().to_string())
}

fn samples(path: &Path) -> Result<Vec<f32>> {
    let reader = WavReader::open(path).map_err(fault)?;
    let spec = reader.spec();
    let (bits, rate, channels) = (spec.bits_per_sample, spec.sample_rate, usize::from(spec.channels));
    let convert = "convert it: sox in.wav -b 16 -r 16000 out.wav";
    let is_pcm = spec.sample_format == SampleFormat::Int && bits == 16;
    ensure!(is_pcm, "samples of {bits} bits ({:?}); expected integers of 16: {convert}", spec.sample_format);
    ensure!(rate == RATE, "{rate} samples a second; expected {RATE}: {convert}");
    let seconds = reader.duration() / RATE;
    ensure!(seconds < LONGEST, "{seconds} seconds; expected a word or a few, less than {LONGEST}: cut it");
    let samples = reader.into_samples::<i16>().map(|sample| Ok(f32::from(sample?) / 32_768.0));
    let samples: Vec<f32> = samples.collect::<Result<_, hound::Error>>().map_err(fault)?;
    ensure!(!samples.is_empty() && channels > 0, "there are no samples");
    Ok(samples.chunks(channels).map(|all| all.iter().sum::<f32>() / channels as f32).collect())
}

/// What went wrong, in one line.
fn fault(error: hound::Error) -> anyhow::Error {
    match error {
        hound::Error::IoError(error) if error.raw_os_error().is_none() => {
            anyhow!("it is no WAV file, or is cut off: {error}")
        }
        hound::Error::FormatError(error) => anyhow!("it is no WAV file, or is cut off: {error}"),
        error => anyhow!("{error}"),
    }
}
