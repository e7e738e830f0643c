//! Noisy samples in, clean ones out: blocks of frames through analysis, network and synthesis.

use crate::model::{BANDS, FEATURES, Network, Stream};
use crate::signal::{Analysis, FRAME, Frame, Synthesis};
use anyhow::Result;
use ndarray::Array2;
use std::time::{Duration, Instant};

/// What became of a sound.
#[derive(Default)]
pub struct Denoised {
    /// As many as there were, in the same places.
    pub samples: Vec<f32>,
    /// How likely each frame is speech; 0 where it is silent.
    pub speech: Vec<f32>,
    /// Time that the network took.
    pub network: Duration,
    /// Time of each block, from its samples to its result. On the first one a GPU's driver may still compile.
    pub blocks: Vec<Duration>,
}

/// Takes the noise out of one channel at 48 kHz, `frames` frames at a time; `each` is told how many are done.
///
/// Memory is for the samples and one block: a frame keeps 30 kB until its gains are there.
pub fn denoise(network: &Network, samples: &[f32], frames: usize, mut each: impl FnMut(usize)) -> Result<Denoised> {
    // A frame's samples come out with the next frame, so that there is one more, and the first one's are from before.
    let count = samples.len().div_ceil(FRAME) + 1;
    let frames = frames.clamp(1, count);
    let mut channel = Channel::new(network, frames)?;
    let mut all = Denoised::default();
    for first in (0..count).step_by(frames) {
        let block = (first..count.min(first + frames)).map(|frame| {
            let mut padded = [0.0; FRAME];
            let some = samples.get(frame * FRAME..).unwrap_or_default();
            padded.iter_mut().zip(some).for_each(|(padded, &sample)| *padded = sample);
            padded
        });
        let start = Instant::now();
        channel.push(block, &mut all)?;
        all.blocks.push(start.elapsed());
        each(all.speech.len());
    }
    all.samples.drain(..FRAME.min(all.samples.len()));
    all.samples.truncate(samples.len());
    Ok(all)
}

struct Channel<'a> {
    analysis: Analysis,
    stream: Stream<'a>,
    synthesis: Synthesis,
}

impl<'a> Channel<'a> {
    fn new(network: &'a Network, frames: usize) -> Result<Self> {
        Ok(Self { analysis: Analysis::new(), stream: network.stream(frames)?, synthesis: Synthesis::new() })
    }

    /// The next frames; adds to what there is.
    fn push(&mut self, block: impl Iterator<Item = [f32; FRAME]>, all: &mut Denoised) -> Result<()> {
        let frames: Vec<Frame> = block.map(|samples| self.analysis.frame(&samples)).collect();
        let seen: Vec<f32> = frames.iter().filter_map(Frame::features).flatten().copied().collect();
        let seen = Array2::from_shape_vec((seen.len() / FEATURES, FEATURES), seen)?;
        let start = Instant::now();
        let answer = if seen.is_empty() { None } else { Some(self.stream.push(seen.view())?) };
        all.network += start.elapsed();

        let mut answers = answer.iter().flat_map(|answer| answer.gains.rows().into_iter().zip(&answer.speech));
        for frame in frames {
            let answer = if frame.features().is_some() { answers.next() } else { None };
            let gains = answer.map(|(gains, _)| std::array::from_fn::<_, BANDS, _>(|band| gains[band]));
            all.speech.push(answer.map_or(0.0, |(_, &speech)| speech));
            all.samples.extend(self.synthesis.frame(frame, gains.as_ref())?);
        }
        Ok(())
    }
}
