//! Letters to phonemes, learned from pairs: an encoder-decoder trained end to end.
//!
//! A GRU of 128 units reads a word's letters; another one goes on from its state and writes phonemes, at most 20. In
//! training it is told what it should have written; afterwards it reads what it wrote, on the device, without a word to
//! the host in between. Batches of all lengths replay one program.
//!
//! ```sh
//! cargo run --release --example pronounce -- --word recurrent neural network
//! cargo run --release --example pronounce -- --steps 1000 --checkpoint pronounce.safetensors
//! cargo run --release --example pronounce -- --steps 2000 --checkpoint pronounce.safetensors --resume
//! ```
//!
//! Ctrl-C saves the training and ends it.
//!
//! On 1,000 words held out, seed 0, on the CPU device (two cores of an AMD EPYC):
//!
//! | steps | phonemes wrong | words wrong | time |
//! | ---: | ---: | ---: | ---: |
//! | 500 | 32.9 % | 76.6 % | 5 s |
//! | 600 | 29.2 % | 74.1 % | 6 s |
//! | 1000 | 26.2 % | 67.3 % | 11 s |
//! | 2000 | 24.9 % | 65.1 % | 23 s |
//!
//! A GPU in software (llvmpipe of Mesa 22.3) on the same cores, which were busy with other work too, came to the very same
//! numbers after 600 steps, in 0.4 to 0.7 s a step: 4 to 7 minutes.

mod model;
mod pairs;

use anyhow::{Result, ensure};
use clap::Parser;
use lessons::{Bar, Choice, Line, check_place, interrupt, make_folder, of_file, plot, two_digits};
use model::{Network, Pronouncer, Training};
use pairs::{Pairs, distance, letters};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;
use wgrnn::Device;

const FEATURES: usize = 64;
const HIDDEN: usize = 128;
const BATCH: usize = 64;
/// Words pronounced at once.
const TESTED: usize = 250;
/// Steps from one look at the loss to the next: each waits for the device.
const EVERY: u32 = 10;
/// Steps from one checkpoint to the next.
const SAVED: u32 = 100;
/// Words of the test that are shown.
const SHOWN: usize = 10;

/// Trains an encoder-decoder to pronounce English words.
#[derive(Parser)]
struct Arguments {
    /// Training steps of 64 words, in all.
    #[arg(long, default_value_t = 600)]
    steps: u32,
    /// For weights and the order of words; a resumed training keeps its own.
    #[arg(long, default_value_t = 0)]
    seed: u32,
    /// Where to run.
    #[arg(long, value_enum, default_value = "auto")]
    device: Choice,
    /// A folder for a picture of the loss.
    #[arg(long, value_name = "FOLDER")]
    plot: Option<PathBuf>,
    /// Words to pronounce after training.
    #[arg(long, value_name = "WORD", num_args = 1..)]
    word: Vec<String>,
    /// Where to save the training, every 100 steps and at its end; `pronounce.safetensors` if it is interrupted.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Go on from that file.
    #[arg(long, requires = "checkpoint")]
    resume: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(arguments.steps > 0, "--steps must be at least 1");
    let asked = arguments.word.iter().map(|word| letters(word)).collect::<Result<Vec<_>>>()?;
    make_folder(arguments.plot.as_deref())?;
    arguments.checkpoint.as_deref().map_or(Ok(()), check_place)?;
    let pairs = Pairs::load()?;
    let device = arguments.device.device()?;
    let network = Network::new(&device, &pairs.phonemes, [FEATURES, HIDDEN], arguments.seed)?;

    let start = Instant::now();
    let mut training = Training::new(&device, &network, &pairs.learned, BATCH, arguments.seed)?;
    let losses = interrupt::or_exit(train(&pairs, &mut training, &arguments))?;
    let seconds = two_digits(start.elapsed().as_secs_f64());
    println!("trained to step {} in {seconds} s on {}", arguments.steps, device.name());

    test(&device, &pairs, &network)?;
    if !asked.is_empty() {
        let longest = asked.iter().map(Vec::len).max().unwrap_or(1);
        let asked: Vec<_> = asked.iter().map(Vec::as_slice).collect();
        let answers = Pronouncer::new(&device, &network, longest, asked.len().min(TESTED))?.pronounce(&asked)?;
        for (word, phonemes) in arguments.word.iter().zip(answers) {
            println!("{word}: {}", pairs.phonemes.spell(&phonemes));
        }
    }
    if arguments.plot.is_some() && losses.is_empty() {
        eprintln!("note: nothing was drawn, for the training that was resumed had come to its end");
    }
    if let Some(folder) = arguments.plot.as_ref().filter(|_| !losses.is_empty()) {
        let path = folder.join("pronounce_loss.svg");
        let title = format!("Letters to phonemes, training loss: {BATCH} words a step");
        let lines = [Line { name: "training", points: losses }];
        plot(&path, &title, ["step", "cross-entropy of a phoneme"], &lines)?;
        println!("drew {}", path.display());
    }
    Ok(())
}

/// Trains, and gives the loss by step.
fn train(pairs: &Pairs, training: &mut Training, arguments: &Arguments) -> Result<Vec<(f64, f64)>> {
    let trainer = &mut training.trainer;
    if let Some(path) = arguments.checkpoint.as_ref().filter(|_| arguments.resume) {
        of_file(path, trainer.load(path))?;
        eprintln!("resumed at step {}", trainer.steps());
    }
    let (from, seed) = (trainer.steps(), trainer.options().seed);
    ensure!(arguments.steps >= from, "the checkpoint has {from} steps already: ask for as many or more with --steps");
    let bar = Bar::new(arguments.steps - from, "words", BATCH)?;
    let mut losses = Vec::new();
    let _listening = bar.listen()?;
    let (path, notes) = (arguments.checkpoint.as_deref(), HashMap::new());
    let mut place = interrupt::Place {
        path: path.unwrap_or(Path::new("pronounce.safetensors")),
        is_own: arguments.resume,
        is_saved: false,
    };
    for step in from + 1..=arguments.steps {
        training.step(&pairs.batch(BATCH, seed, step - 1))?;
        let ends = step == arguments.steps;
        let mut loss = if step % EVERY == 0 { Some(training.trainer.progress()?.mean_loss) } else { None };
        place.is_saved = false;
        if let Some(path) = path.filter(|_| step % SAVED == 0 || ends) {
            of_file(path, training.trainer.save(path, &notes))?;
            (place.is_own, place.is_saved) = (true, true);
        }
        if ends && loss.is_none() {
            // Only now: what was saved goes on to the next report, as a training does that never stopped.
            loss = Some(training.trainer.progress()?.mean_loss);
        }
        losses.extend(loss.map(|loss| (f64::from(step), f64::from(loss))));
        bar.step(loss);
        if interrupt::asked() {
            bar.finish();
            return Err(interrupt::stop(&training.trainer, place, &notes));
        }
    }
    bar.finish();
    Ok(losses)
}

/// Pronounces the words held out, and says how wrong that is.
fn test(device: &Device, pairs: &Pairs, network: &Network) -> Result<()> {
    let words: Vec<_> = pairs.tested.iter().map(|pair| &pair.letters[..]).collect();
    let longest = words.iter().map(|word| word.len()).max().unwrap_or(1);
    let answers = Pronouncer::new(device, network, longest, TESTED)?.pronounce(&words)?;
    let (mut errors, mut phonemes, mut wrong) = (0, 0, 0);
    for (pair, answer) in pairs.tested.iter().zip(&answers) {
        let distance = distance(&pair.phonemes, answer);
        errors += distance;
        phonemes += pair.phonemes.len();
        wrong += usize::from(distance > 0);
    }
    let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
    println!("{} words held out:", words.len());
    println!("  {:.1} % of phonemes wrong (edit distance by length)", percent(errors, phonemes));
    println!("  {:.1} % of words with an error", percent(wrong, words.len()));
    for (pair, answer) in pairs.tested.iter().zip(&answers).take(SHOWN) {
        let right = if *answer == pair.phonemes {
            "right".to_owned()
        } else {
            format!("right: {}", pairs.phonemes.spell(&pair.phonemes))
        };
        println!("  {:10} {} ({right})", pair.word, pairs.phonemes.spell(answer));
    }
    Ok(())
}
