//! Who speaks in audio files: how alike the voices are, by Resemblyzer's speaker encoder on a GPU, many files at once.
//!
//! ```sh
//! python3 scripts/make_speakers.py --weights
//! cargo run --release --example speakers -- tests/fixtures/speakers/*.wav
//! cargo run --release --example speakers -- --plot pictures tests/fixtures/speakers/*.wav
//! ```
//!
//! A table of similarities, each from 0 to 1. With `--plot`, a picture of it too. Silences in the files are not cut out, as
//! Resemblyzer's own preprocessing does it.

#[path = "../../common/mod.rs"]
mod common;
mod mel;
mod model;
mod picture;
mod utterance;
#[path = "../denoise/wav.rs"]
#[allow(dead_code, reason = "nothing is written here")]
mod wav;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use common::{Choice, make_folder, two_digits};
use model::{Encoder, RATE, Weights};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use utterance::Utterance;

/// Windows side by side in the network.
const BATCH: usize = 64;

/// Compares the voices in audio files.
#[derive(Parser)]
struct Arguments {
    /// WAV files, two or more, of any rate; their channels are mixed.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The weights that scripts/make_speakers.py has fetched.
    #[arg(long, default_value = "target/speakers/resemblyzer.safetensors")]
    weights: PathBuf,
    /// Where to run.
    #[arg(long, value_enum, default_value = "auto")]
    device: Choice,
    /// A folder for a picture of the table.
    #[arg(long, value_name = "FOLDER")]
    plot: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let weights = Weights::load(&arguments.weights)?;
    make_folder(arguments.plot.as_deref())?;
    // A file that can't be read does not keep the others from being.
    let (mut names, mut utterances, mut seconds) = (Vec::new(), Vec::new(), 0.0);
    for path in &arguments.files {
        let utterance = utterance::load(path).and_then(|samples| {
            let utterance = Utterance::new(&samples).with_context(|| path.display().to_string())?;
            Ok((utterance, samples.len() as f64 / RATE as f64))
        });
        match utterance {
            Ok((utterance, length)) => {
                seconds += length;
                names.push(path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned());
                utterances.push(utterance);
            }
            Err(error) => eprintln!("error: {error:#}"),
        }
    }
    ensure!(names.len() >= 2, "files to compare: {}, expected two or more", names.len());

    let encoder = Encoder::new(&arguments.device.device()?, &weights)?;
    let start = Instant::now();
    let embeddings = utterance::embeddings(&encoder, &utterances, BATCH)?;
    let time = start.elapsed().as_secs_f64();
    let similarities = utterance::similarities(&embeddings);

    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let numbers: String = (1..=names.len()).map(|number| format!(" {number:>5}")).collect();
    println!("{:width$}    {numbers}", "");
    for (i, (name, row)) in names.iter().zip(similarities.rows()).enumerate() {
        let row: String = row.iter().map(|similarity| format!(" {similarity:>5.2}")).collect();
        println!("{:>3} {name:width$}{row}", i + 1);
    }
    if let Some(folder) = &arguments.plot {
        picture::draw(&folder.join("similarities.svg"), &names, &similarities)?;
    }
    let windows: usize = utterances.iter().map(|utterance| utterance.windows().len()).sum();
    eprintln!(
        "{seconds:.2} s of audio, {windows} windows in {} ms, kernels' compilation included: {} embeddings/s",
        two_digits(1e3 * time),
        two_digits(windows as f64 / time)
    );
    Ok(if names.len() == arguments.files.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
