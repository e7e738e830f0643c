//! Words to phonemes with real pretrained weights: the encoder-decoder of g2p-en, on a GPU.
//!
//! ```sh
//! cargo run --release --example g2p -- recurrent neural network
//! cargo run --release --example g2p -- --device cpu --file words.txt
//! ```

#[path = "../common/mod.rs"]
mod common;
mod model;
mod textbook;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use common::{Choice, counted, two_digits};
use indicatif::{ProgressBar, ProgressStyle};
use model::{G2p, Readable, Weights};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// In a checkout of the repository; the package on crates.io leaves it out.
const WEIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/g2p/g2p_en.safetensors");

/// Words pronounced at once.
const BATCH: usize = 64;
/// Words of a batch compared with the reference, which is slow.
const COMPARED: usize = 2;

/// Words to phonemes with g2p-en's pretrained encoder-decoder.
#[derive(Parser)]
struct Arguments {
    /// Words to pronounce.
    #[arg(required_unless_present = "file")]
    words: Vec<String>,
    /// A file with a word a line.
    #[arg(long)]
    file: Option<PathBuf>,
    /// Where to run.
    #[arg(long, value_enum, default_value = "auto")]
    device: Choice,
    /// The network's weights; those of the repository if none are given.
    #[arg(long)]
    weights: Option<PathBuf>,
}

fn read_weights(path: &Path) -> Result<Weights> {
    let bytes = std::fs::read(path).with_context(|| {
        let repository = env!("CARGO_PKG_REPOSITORY");
        let name = path.display();
        format!("{name}: the weights are not in the package on crates.io: run this in a checkout of {repository}, or name them with --weights")
    })?;
    Weights::read(&bytes).with_context(|| path.display().to_string())
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let mut words = arguments.words;
    if let Some(path) = &arguments.file {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        words.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
    }
    ensure!(!words.is_empty(), "there are no words to pronounce");
    let weights = read_weights(arguments.weights.as_deref().unwrap_or(Path::new(WEIGHTS)))?;
    // A word that can't be read does not keep the others from being.
    let asked = words.len();
    words.retain(|word| match weights.check(word) {
        Readable::Yes => true,
        Readable::InPart(what) => {
            eprintln!("note: {what}");
            true
        }
        Readable::No(why) => {
            eprintln!("error: {why}");
            false
        }
    });
    if words.is_empty() {
        return Ok(ExitCode::FAILURE);
    }
    let device = arguments.device.device()?;
    let g2p = G2p::new(&device, weights)?;

    let bar = if arguments.file.is_some() { ProgressBar::new(words.len() as u64) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} words, {per_sec}, {eta} left")?);
    let (mut time, mut difference, mut compared) = (Duration::ZERO, 0.0_f64, 0);
    for batch in words.chunks(BATCH) {
        let batch: Vec<_> = batch.iter().map(String::as_str).collect();
        let start = Instant::now();
        let answer = pollster::block_on(g2p.pronounce(&batch))?;
        time += start.elapsed();
        // Lines go through the bar, so that it stays below them.
        bar.suspend(|| batch.iter().zip(&answer.phonemes).for_each(|(word, phonemes)| println!("{word}\t{phonemes}")));
        for (n, word) in batch.iter().enumerate().take(COMPARED) {
            difference = difference.max(textbook::difference(&g2p.weights, word, &answer, n)?);
            compared += 1;
        }
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();

    let milliseconds = two_digits(1e3 * time.as_secs_f64());
    eprintln!("time: {milliseconds} ms for {}, kernels' compilation included", counted(words.len(), "word"));
    eprintln!(
        "largest difference of a logit from the reference in f64: {difference:.1e} ({compared} of {})",
        counted(words.len(), "word")
    );
    Ok(if words.len() == asked { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
