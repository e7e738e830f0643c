//! From samples to windows of frames, and from the windows' embeddings to that of the whole, by Resemblyzer's rules.
//!
//! One of its steps is left out: it cuts long silences, which it finds with WebRTC's voice activity detector.

use crate::mel::{self, HOP};
use crate::model::{EMBEDDING, Encoder, RATE, WINDOW, normalise};
use crate::wav;
use anyhow::{Result, ensure};
use ndarray::{Array2, ArrayView2, Axis, s};
use std::path::Path;

/// Sound that is quieter is made this loud: decibels below full scale.
const LOUDNESS: f64 = -30.0;
/// Windows a second.
const WINDOWS: f64 = 1.3;
/// How much of the last window has to be sound, unless it is the only one.
const COVERAGE: f64 = 0.75;

/// Sound as the network sees it.
pub struct Utterance {
    /// [frames, BANDS]
    mel: Array2<f32>,
    /// First frame of each window.
    starts: Vec<usize>,
}

impl Utterance {
    /// Of samples from −1 to 1, 16,000 a second. What is missing at the last window's end is zeros.
    pub fn new(samples: &[f32]) -> Result<Self> {
        let mut samples = louder(samples)?;
        let starts = starts(samples.len());
        let end = starts.last().map_or(0, |start| (start + WINDOW) * HOP);
        samples.resize(samples.len().max(end), 0.0);
        Ok(Self { mel: mel::spectrogram(&samples)?, starts })
    }

    pub fn windows(&self) -> impl ExactSizeIterator<Item = ArrayView2<'_, f32>> {
        self.starts.iter().map(|&start| self.mel.slice(s![start..start + WINDOW, ..]))
    }
}

/// A file as 16,000 samples a second, the mean of its channels.
pub fn load(path: &Path) -> Result<Vec<f32>> {
    let audio = wav::read(path)?;
    wav::resample(&wav::mixed(&audio), audio.spec.sample_rate, RATE as u32)
}

/// The same samples, louder where their root mean square is below [`LOUDNESS`].
pub fn louder(samples: &[f32]) -> Result<Vec<f32>> {
    let squares: f64 = samples.iter().map(|&sample| f64::from(sample).powi(2)).sum();
    ensure!(squares > 0.0 && squares.is_finite(), "there is no sound in {} samples", samples.len());
    let decibels = LOUDNESS - 10.0 * (squares / samples.len() as f64).log10();
    let factor = 10_f64.powf(decibels.max(0.0) / 20.0);
    Ok(samples.iter().map(|&sample| (f64::from(sample) * factor) as f32).collect())
}

/// The first frames of the windows of so many samples.
pub fn starts(samples: usize) -> Vec<usize> {
    let frames = (samples + 1).div_ceil(HOP);
    let step = (RATE as f64 / WINDOWS / HOP as f64).round() as usize;
    let mut starts: Vec<usize> = (0..(frames + step + 1).saturating_sub(WINDOW).max(1)).step_by(step).collect();
    let covered = |start: usize| (samples as f64 - (start * HOP) as f64) / (WINDOW * HOP) as f64;
    if starts.len() > 1 && starts.last().is_some_and(|&start| covered(start) < COVERAGE) {
        starts.pop();
    }
    starts
}

/// The embeddings, [utterances, EMBEDDING]: the scaled mean over the windows of each. All of them go through the network
/// together, at most `most` side by side.
pub fn embeddings(encoder: &Encoder, utterances: &[Utterance], most: usize) -> Result<Array2<f32>> {
    let windows: Vec<_> = utterances.iter().flat_map(Utterance::windows).collect();
    let found = encoder.embeddings(&windows, most)?;
    let mut all = Array2::zeros((utterances.len(), EMBEDDING));
    let mut first = 0;
    for (utterance, mut embedding) in utterances.iter().zip(all.rows_mut()) {
        let end = first + utterance.starts.len();
        // A mean and a sum have one direction.
        embedding.assign(&found.slice(s![first..end, ..]).sum_axis(Axis(0)));
        normalise(embedding.into_slice().unwrap_or_default())?;
        first = end;
    }
    Ok(all)
}

/// Cosines of the angles between embeddings, from 0 to 1: they have length 1, and no number below 0.
pub fn similarities(embeddings: &Array2<f32>) -> Array2<f32> {
    embeddings.dot(&embeddings.t())
}
