//! Speech without the noise: RNNoise's network on a GPU, from a WAV file to another one.
//!
//! ```sh
//! cargo run --release --example denoise -- examples/audio/denoise/noisy.wav clean.wav
//! cargo run --release --example denoise -- --stream examples/audio/denoise/noisy.wav clean.wav
//! ```
//!
//! The network sees ten seconds at a time, so that a GPU has few dispatches with much to do. With `--stream` it sees one
//! frame of 10 ms at a time, as with live sound. The result is the same.

#[path = "../../common/mod.rs"]
mod common;
mod model;
mod pipeline;
mod signal;
#[allow(dead_code, reason = "channels are not mixed here")]
mod wav;

use anyhow::Result;
use clap::Parser;
use common::{Choice, two_digits};
use indicatif::{ProgressBar, ProgressStyle};
use model::{Network, Weights};
use signal::{FRAME, RATE};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Frames that the network sees at a time: ten seconds.
const FRAMES: usize = 1000;
/// A sample of 1 in the units of 16-bit integers, which RNNoise was trained on.
const SCALE: f32 = 32768.0;

/// Takes noise out of speech with RNNoise's network.
#[derive(Parser)]
struct Arguments {
    /// A WAV file; of several channels, each is cleaned alone.
    input: PathBuf,
    /// Where to write the result, in the same format.
    output: PathBuf,
    /// Where to run.
    #[arg(long, value_enum, default_value = "auto")]
    device: Choice,
    /// Frame by frame, as with live sound.
    #[arg(long)]
    stream: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut audio = wav::read(&arguments.input)?;
    // Before the work that a place where nothing can be written would waste.
    wav::place(&arguments.output)?;
    let network = Network::new(&arguments.device.device()?, &Weights::load()?)?;
    let rate = audio.spec.sample_rate;
    let frames = if arguments.stream { 1 } else { FRAMES };

    let length = audio.channels.iter().map(Vec::len).sum::<usize>() as u64;
    let bar = ProgressBar::new(length * u64::from(RATE) / u64::from(rate) / FRAME as u64);
    bar.set_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} frames, {per_sec}, {eta} left")?);
    let start = Instant::now();
    let (mut network_time, mut blocks, mut speech, mut done) = (Duration::ZERO, Vec::new(), 0, 0);
    for channel in &mut audio.channels {
        let scaled: Vec<_> = wav::resample(channel, rate, RATE)?.iter().map(|sample| SCALE * sample).collect();
        let found = pipeline::denoise(&network, &scaled, frames, |frames| bar.set_position(done + frames as u64))?;
        let clean: Vec<_> = found.samples.iter().map(|sample| sample / SCALE).collect();
        let mut clean = wav::resample(&clean, RATE, rate)?;
        clean.truncate(channel.len());
        *channel = clean;
        network_time += found.network;
        blocks.extend(found.blocks);
        speech += found.speech.iter().filter(|&&speech| speech > 0.5).count();
        done += found.speech.len() as u64;
    }
    let time = start.elapsed().as_secs_f64();
    bar.finish_and_clear();
    wav::write(&arguments.output, &audio)?;

    let channels = audio.channels.len();
    let seconds = length as f64 / channels as f64 / f64::from(rate);
    let speed = seconds / time;
    println!(
        "{seconds:.2} s of sound in {channels} channel(s), {:.0} % of the frames speech, in {} s, kernels' \
         compilation included: {} times as fast as real time",
        100.0 * speech as f64 / done.max(1) as f64,
        two_digits(time),
        two_digits(speed)
    );
    let milliseconds = |time: Duration| 1e3 * time.as_secs_f64();
    println!("the network took {} ms of that", two_digits(milliseconds(network_time)));
    let mut late = 0;
    if arguments.stream {
        // Channels take turns.
        let limit = 1e3 * FRAME as f64 / f64::from(RATE) / channels as f64;
        late = blocks.iter().filter(|&&time| milliseconds(time) > limit).count();
        let slowest = milliseconds(blocks.iter().copied().max().unwrap_or_default());
        println!("{late} of {} frames took longer than {limit:.1} ms; the slowest {slowest:.1} ms", blocks.len());
    }
    if speed < 1.0 {
        println!("NOT REAL TIME: live sound would fall behind");
    } else if late > 0 {
        println!("NOT REAL TIME at every frame: live sound would need a buffer");
    }
    Ok(())
}
