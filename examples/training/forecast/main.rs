//! Tomorrow's temperature, hour by hour, from the last two days: forecasting a series.
//!
//! An LSTM of 64 units reads 48 hours of weather at Newark airport, and a dense layer makes the next 24 temperatures of its
//! last state: many-to-one. With `--feed-back` a second LSTM goes on from that state instead and writes hour by hour, each
//! from the last: one-to-many. It learns from the first three quarters of 2013 and is tested on the rest.
//!
//! ```sh
//! cargo run --release --example forecast -- --plot pictures
//! cargo run --release --example forecast -- --feed-back
//! cargo run --release --example forecast -- --steps 600 --checkpoint forecast.safetensors --resume
//! ```
//!
//! Ctrl-C saves the training and ends it.
//!
//! Mean absolute error after 300 steps on the CPU device with seeds 0, 1 and 2: 2.46, 2.51 and 2.55 °C; fed back: 2.56,
//! 2.72 and 2.81 °C. The same hour yesterday: 3.69 °C; the last temperature: 3.51 °C. On two cores of an AMD EPYC that
//! takes 3 to 5 s, fed back 8 s, and on a GPU in software (llvmpipe of Mesa 22.3) on the same cores, busy with other work too,
//! 2 minutes, with the same 2.46 °C.

mod model;
mod weather;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use lessons::{Bar, Choice, Line, check_place, counted, interrupt, make_folder, of_file, plot, two_digits};
use model::{Forecaster, Network, Training};
use ndarray::Array2;
use rand_mt::Mt;
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;
use weather::{AHEAD, Weather};

const HIDDEN: usize = 64;
const BATCH: usize = 64;
/// Windows forecast at once.
const TESTED: usize = 240;
/// Steps from one look at the loss to the next: each waits for the device.
const EVERY: u32 = 10;
/// Steps from one checkpoint to the next.
const SAVED: u32 = 100;
/// The days of the picture.
const WEEK: (&str, usize) = ("2013-11-04T00:00", 7);

/// Trains a network to forecast the temperature of the next 24 hours.
#[derive(Parser)]
struct Arguments {
    /// Training steps of 64 windows, in all.
    #[arg(long, default_value_t = 300)]
    steps: u32,
    /// For weights and the order of windows; a resumed training keeps its own.
    #[arg(long, default_value_t = 0)]
    seed: u32,
    /// Where to run.
    #[arg(long, value_enum, default_value = "auto")]
    device: Choice,
    /// Forecast hour by hour, each from the last, instead of all at once.
    #[arg(long)]
    feed_back: bool,
    /// A folder for pictures: the loss, and a week of forecasts.
    #[arg(long, value_name = "FOLDER")]
    plot: Option<PathBuf>,
    /// Where to save the training, every 100 steps and at its end; `forecast.safetensors` if it is interrupted.
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Go on from that file.
    #[arg(long, requires = "checkpoint")]
    resume: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(arguments.steps > 0, "--steps must be at least 1");
    make_folder(arguments.plot.as_deref())?;
    arguments.checkpoint.as_deref().map_or(Ok(()), check_place)?;
    let weather = Weather::load()?;
    let device = arguments.device.device()?;
    let make = if arguments.feed_back { Network::feed_back } else { Network::direct };
    let network = make(&device, HIDDEN, arguments.seed)?;

    let start = Instant::now();
    let mut training = Training::new(&device, &network, BATCH, arguments.seed)?;
    let losses = interrupt::or_exit(train(&weather, &mut training, &arguments))?;
    let trained = start.elapsed();

    let tested: Vec<usize> = weather.tested().collect();
    let forecaster = Forecaster::new(&device, &network, TESTED)?;
    let forecasts = forecaster.forecast(&tested, |firsts| weather.batch(firsts))?.mapv(|value| weather.celsius(value));
    let network_error = weather.error(&tested, |n, k| forecasts[[n, k]]);
    let seasonal = weather.error(&tested, |n, k| weather.temperature[tested[n] + k - AHEAD]);
    let persistent = weather.error(&tested, |n, _| weather.temperature[tested[n] - 1]);
    let (steps, seconds) = (counted(arguments.steps as usize, "step"), two_digits(trained.as_secs_f64()));
    println!("trained {steps} in {seconds} s on {}", device.name());
    println!("mean absolute error over {} forecasts from {} on:", tested.len(), weather.times[tested[0]]);
    println!("  {network_error:.2} °C  the network");
    println!("  {seasonal:.2} °C  the same hour yesterday");
    println!("  {persistent:.2} °C  the last temperature");

    if let Some(folder) = &arguments.plot {
        let title = format!("Training loss: {BATCH} windows a step");
        let axes = ["step", "mean squared error (1: the variance)"];
        draw(&folder.join("forecast_loss.svg"), &title, axes, &[Line { name: "training", points: losses }])?;
        draw_week(&folder.join("forecast_week.svg"), &weather, &tested, &forecasts)?;
    }
    Ok(())
}

/// Trains, and gives the loss by step.
fn train(weather: &Weather, training: &mut Training, arguments: &Arguments) -> Result<Vec<(f64, f64)>> {
    let Training { trainer, windows } = training;
    let path = arguments.checkpoint.as_deref();
    if let Some(path) = path.filter(|_| arguments.resume) {
        of_file(path, trainer.load(path))?;
        eprintln!("resumed at step {}", trainer.steps());
    }
    let (from, to) = (trainer.steps(), arguments.steps);
    ensure!(to > from, "the checkpoint has {from} steps already: ask for more with --steps");
    let mut random = Mt::new(trainer.options().seed);
    let learned = weather.learned();
    let mut draw =
        || -> Vec<usize> { (0..BATCH).map(|_| learned.start + random.next_u32() as usize % learned.len()).collect() };
    // A resumed training draws on from where it was.
    (0..from).for_each(|_| drop(draw()));

    let bar = Bar::new(to - from, "windows", BATCH)?;
    let _listening = bar.listen()?;
    let (mut losses, mut saved, notes) = (Vec::new(), arguments.resume.then_some(from), HashMap::new());
    let feed = |_| {
        ensure!(!interrupt::asked(), "interrupted");
        windows.write(&weather.batch(&draw()))?;
        bar.step(None);
        Ok(())
    };
    let trained = trainer.train(to, EVERY, feed, |trainer, progress| {
        losses.push((progress.steps.into(), progress.mean_loss.into()));
        bar.loss(progress.mean_loss);
        if let Some(path) = path.filter(|_| progress.steps % SAVED == 0 || progress.steps == to) {
            of_file(path, trainer.save(path, &notes))?;
            saved = Some(progress.steps);
        }
        Ok(ControlFlow::Continue(()))
    });
    bar.finish();
    if interrupt::asked() {
        let (is_own, is_saved) = (saved.is_some(), saved == Some(trainer.steps()));
        let path = path.unwrap_or(Path::new("forecast.safetensors"));
        return Err(interrupt::stop(trainer, interrupt::Place { path, is_own, is_saved }, &notes));
    }
    trained.map(|_| losses)
}

/// A week of the test: the forecast made at each midnight, beside what came.
fn draw_week(path: &Path, weather: &Weather, tested: &[usize], forecasts: &Array2<f32>) -> Result<()> {
    let (from, days) = WEEK;
    let first = weather.times.iter().position(|time| time == from).context("no such week")?;
    let hours = || (0..days * AHEAD).map(|hour| (hour, hour as f64 / 24.0));
    let line = |name, temperature: &dyn Fn(usize) -> Option<f32>| {
        let points = hours().filter_map(|(hour, day)| Some((day, temperature(hour)?.into())));
        Line { name, points: points.collect() }
    };
    let forecast = |hour: usize| {
        let n = tested.iter().position(|&tested| tested == first + hour / AHEAD * AHEAD)?;
        Some(forecasts[[n, hour % AHEAD]])
    };
    let lines = [
        line("forecast at midnight", &forecast),
        line("what came", &|hour| Some(weather.temperature[first + hour])),
        line("same hour yesterday", &|hour| Some(weather.temperature[first + hour - AHEAD])),
    ];
    let title = "Newark, a week of the test part: 24 hours forecast at each midnight (UTC)";
    draw(path, title, [&format!("days from {}", &from[..10]), "temperature in °C"], &lines)
}

fn draw(path: &Path, title: &str, axes: [&str; 2], lines: &[Line<'_>]) -> Result<()> {
    plot(path, title, axes, lines)?;
    println!("drew {}", path.display());
    Ok(())
}
