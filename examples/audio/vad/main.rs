//! Where somebody speaks in audio files: Silero VAD, the whole network on a GPU, many files at once.
//!
//! ```sh
//! cargo run --release --example vad -- tests/fixtures/vad_speech.wav
//! cargo run --release --example vad -- --plot pictures *.wav
//! ```
//!
//! For each file a line a segment: from and to in seconds. With `--plot`, a picture of the probability over the waveform.

mod audio;
#[path = "../../common/mod.rs"]
mod common;
mod model;
mod picture;
mod segments;

use anyhow::Result;
use clap::Parser;
use common::{Choice, make_folder, two_digits};
use model::{RATE, Vad, Weights};
use segments::segments;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

const WEIGHTS: &[u8] = include_bytes!("silero_vad_16k.safetensors");

/// Finds speech in audio files.
#[derive(Parser)]
struct Arguments {
    /// WAV files of any rate; their channels are mixed.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Where to run.
    #[arg(long, value_enum, default_value = "auto")]
    device: Choice,
    /// A folder for a picture of each file.
    #[arg(long, value_name = "FOLDER")]
    plot: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    make_folder(arguments.plot.as_deref())?;
    // A file that can't be read does not keep the others from being.
    let mut unread = 0;
    let mut files: Vec<(&Path, Vec<f32>)> = Vec::new();
    for path in &arguments.files {
        match audio::read(path) {
            Ok(samples) => files.push((path, samples)),
            Err(error) => {
                eprintln!("error: {error:#}");
                unread += 1;
            }
        }
    }
    if files.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    let device = arguments.device.device()?;
    let vad = Vad::new(&device, &Weights::read(WEIGHTS)?)?;
    let (paths, samples): (Vec<_>, Vec<_>) = files.into_iter().unzip();
    let start = Instant::now();
    let probabilities = pollster::block_on(vad.probabilities(&samples))?;
    let time = start.elapsed().as_secs_f64();

    let seconds = |sample: usize| sample as f64 / RATE as f64;
    let names = picture::names(&paths);
    for (((path, name), samples), probabilities) in paths.iter().zip(names).zip(&samples).zip(&probabilities) {
        let speech = segments(probabilities, samples.len());
        let total: usize = speech.iter().map(|segment| segment.len()).sum();
        println!("{}: {:.2} s of speech in {:.2} s", path.display(), seconds(total), seconds(samples.len()));
        for segment in &speech {
            println!("  {:>8.2}  {:>8.2}", seconds(segment.start), seconds(segment.end));
        }
        if let Some(folder) = &arguments.plot {
            picture::draw(&folder.join(format!("{name}.svg")), &name, samples, probabilities, &speech)?;
        }
    }
    let audio: f64 = samples.iter().map(|samples| seconds(samples.len())).sum();
    eprintln!(
        "{audio:.2} s of audio in {} ms, kernels' compilation included: {} times as fast as it is spoken",
        two_digits(1e3 * time),
        two_digits(audio / time)
    );
    Ok(if unread == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
