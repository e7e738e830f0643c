//! WAV files as samples at 16 kHz.

use crate::model::RATE;
use anyhow::{Context, Result, bail, ensure};
use hound::{SampleFormat, WavReader};
use std::path::Path;

/// The mean of a file's channels, from −1 to 1. Of rates that are a multiple of 16 kHz every n-th sample is taken, as Silero
/// VAD's own package does it; others are refused.
pub fn read(path: &Path) -> Result<Vec<f32>> {
    let mut reader = WavReader::open(path)?;
    let spec = reader.spec();
    let rate = spec.sample_rate as usize;
    ensure!(rate > 0 && rate.is_multiple_of(RATE), "{rate} samples a second: expected {RATE}, or a multiple of it");
    let scale = 2.0_f32.powi(1 - i32::from(spec.bits_per_sample));
    let samples: Vec<f32> = match (spec.sample_format, spec.bits_per_sample) {
        (SampleFormat::Float, 32) => reader.samples::<f32>().collect::<Result<_, _>>()?,
        (SampleFormat::Int, 1..=32) => {
            reader.samples::<i32>().map(|sample| Ok(sample? as f32 * scale)).collect::<Result<_, hound::Error>>()?
        }
        (format, bits) => bail!("samples of {bits} bits ({format:?}), expected integers or floats of 32 bits"),
    };
    if let Some(at) = samples.iter().position(|sample| !sample.is_finite()) {
        bail!("sample {at} is {}", samples[at]);
    }
    let channels = usize::from(spec.channels).max(1);
    let frames = samples.chunks_exact(channels).step_by(rate / RATE);
    Ok(frames.map(|frame| frame.iter().sum::<f32>() / channels as f32).collect())
}

/// The same with the file's name in errors.
pub fn load(path: &Path) -> Result<Vec<f32>> {
    read(path).with_context(|| path.display().to_string())
}
