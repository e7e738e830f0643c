//! WAV files as samples at 16 kHz.

#[path = "../denoise/wav.rs"]
#[allow(dead_code, reason = "nothing is written here")]
mod wav;

use crate::model::RATE;
use anyhow::Result;
use std::path::Path;

/// The mean of a file's channels at 16 kHz, from −1 to 1. Of rates that are a multiple of 16 kHz every n-th sample is taken, as
/// Silero VAD's own package does it; others are resampled.
pub fn read(path: &Path) -> Result<Vec<f32>> {
    let audio = wav::read(path)?;
    let mixed = wav::mixed(&audio);
    let rate = audio.spec.sample_rate as usize;
    if rate.is_multiple_of(RATE) {
        return Ok(mixed.into_iter().step_by(rate / RATE).collect());
    }
    wav::resample(&mixed, audio.spec.sample_rate, RATE as u32)
}
