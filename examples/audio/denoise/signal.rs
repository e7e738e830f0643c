//! Sound to frames and back: what RNNoise does around its network.
//!
//! A frame is 10 ms at 48 kHz, seen through a window that covers the one before it too. The crate nnnoiseless finds its
//! features, with the spectrum of the same sound a pitch period before, and sharpens what is periodic (`pitch_filter`). Gains
//! and the way back to samples, which that crate keeps to itself, are here. Samples are in units of 16-bit integers.
//! Source: J.-M. Valin, A Hybrid DSP/Deep Learning Approach to Real-Time Full-Band Speech Enhancement, 2018.

use crate::model::BANDS;
use anyhow::{Context, Result};
use nnnoiseless::DenoiseFeatures;
use realfft::{ComplexToReal, RealFftPlanner};
use std::f64::consts::FRAC_PI_2;
use std::sync::Arc;

/// Samples a second.
pub const RATE: u32 = 48_000;
/// Samples of a frame.
pub const FRAME: usize = 480;
const WINDOW: usize = 2 * FRAME;

/// Middles of the bands, in steps of 200 Hz: like the ear's, but none narrower than that.
const MIDDLES: [usize; BANDS] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 34, 40, 48, 60, 78, 100];
/// Frequencies of a spectrum, which are 50 Hz apart, in such a step.
const BINS: usize = 4;
/// A band's gain is at least this much of the last frame's: what it lets through takes 135 ms to fall by 60 dB, as in a room.
const DECAY: f32 = 0.6;

/// A frame that waits for its gains.
pub struct Frame {
    found: DenoiseFeatures,
    /// As good as no sound: the network does not see it, and it stays as it is.
    is_silent: bool,
}

impl Frame {
    /// What the network reads; none of silence.
    pub fn features(&self) -> Option<&[f32]> {
        (!self.is_silent).then(|| self.found.features())
    }
}

/// Finds the features of one frame after the other.
pub struct Analysis(DenoiseFeatures);

impl Analysis {
    pub fn new() -> Self {
        Self(DenoiseFeatures::new())
    }

    pub fn frame(&mut self, samples: &[f32; FRAME]) -> Frame {
        self.0.shift_and_filter_input(samples);
        let is_silent = self.0.compute_frame_features();
        Frame { found: self.0.clone(), is_silent }
    }
}

/// Makes samples of frames and gains.
pub struct Synthesis {
    inverse: Arc<dyn ComplexToReal<f32>>,
    window: Vec<f32>,
    /// Gains of the last frame.
    gains: [f32; BANDS],
    /// The second half of the last frame's window.
    rest: Vec<f32>,
}

impl Synthesis {
    pub fn new() -> Self {
        let sine = |turn: f64| (FRAC_PI_2 * turn).sin();
        // Vorbis's window: the squares of its halves add up to 1.
        let window = |i: usize| sine(sine(2.0 * (i as f64 + 0.5) / WINDOW as f64).powi(2)) as f32;
        Self {
            inverse: RealFftPlanner::new().plan_fft_inverse(WINDOW),
            window: (0..WINDOW).map(window).collect(),
            gains: [0.0; BANDS],
            rest: vec![0.0; FRAME],
        }
    }

    /// The samples of the frame before this one. `gains` are the network's, which has none for silence.
    pub fn frame(&mut self, mut frame: Frame, gains: Option<&[f32; BANDS]>) -> Result<Vec<f32>> {
        if let Some(gains) = gains {
            frame.found.pitch_filter(gains);
            self.gains.iter_mut().zip(gains).for_each(|(last, &gain)| *last = gain.max(DECAY * *last));
        }
        let mut spectrum = frame.found.x.to_vec();
        if gains.is_some() {
            spectrum.iter_mut().zip(over_bins(&self.gains)).for_each(|(bin, gain)| *bin *= gain);
        }
        let mut samples = self.inverse.make_output_vec();
        self.inverse.process(&mut spectrum, &mut samples).context("a spectrum back to samples")?;
        // The spectrum was divided by the sum of the window's squares, which is half of its length.
        samples.iter_mut().zip(&self.window).for_each(|(sample, weight)| *sample *= 0.5 * weight);
        let next = samples.split_off(FRAME);
        samples.iter_mut().zip(&self.rest).for_each(|(sample, rest)| *sample += rest);
        self.rest = next;
        Ok(samples)
    }
}

/// A gain for each frequency: from one middle to the next along a straight line, and 0 from the last one on.
fn over_bins(gains: &[f32; BANDS]) -> impl Iterator<Item = f32> {
    let lines = MIDDLES.windows(2).zip(gains.windows(2)).flat_map(|(middles, gains)| {
        let (from, to, bins) = (gains[0], gains[1], BINS * (middles[1] - middles[0]));
        (0..bins).map(move |bin| from + (to - from) * bin as f32 / bins as f32)
    });
    lines.chain(std::iter::repeat(0.0))
}
