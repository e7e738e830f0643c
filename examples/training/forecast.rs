//! Many-to-one: tomorrow's temperature, hour by hour, from the last two days, and how sure the forecast is.
//!
//! ```text
//!                       y    ŷ = V·h + c      the next 24 temperatures
//!                       ↑
//!   h →  h →  h →  … →  h    an LSTM of 64 units
//!   ↑    ↑    ↑         ↑
//!   x    x    x    …    x    48 hours: temperature, dew point, pressure, time of day
//! ```
//!
//! With `--feed-back`, a second LSTM goes on from the last state instead, and writes hour by hour, each from the one before (one-to-many).
//!
//! ```sh
//! cargo run --release --example forecast -- --plot pictures
//! cargo run --release --example forecast -- --feed-back
//! ```
//!
//! It learns from two thirds of 2013 and is tested on the last quarter. How wrong it is in between says how wide an interval has to be that
//! holds the truth four times in five (split conformal prediction). The baselines get such intervals too.

use anyhow::Result;
use clap::Parser;
use lessons::data::forecast::{AHEAD, FEATURES, PAST, Weather};
use lessons::metrics::Intervals;
use lessons::{Common, Course, Outcome, Reading, adam};
use ndarray::{Array2, Axis, s};
use std::ops::Range;
use wgrnn::plan::Value;
use wgrnn::{Cell, Device, Model, ModelConfig, Output, RnnCall, RnnConfig, Tape, Tensor};

const HIDDEN: usize = 64;
const BATCH: usize = 64;
/// The part of hours that an interval has to hold.
const PART: f64 = 0.8;

/// Trains a network to forecast the temperature of the next 24 hours.
#[derive(Parser, Debug)]
pub struct Options {
    /// What every lesson can be told.
    #[command(flatten)]
    pub common: Common<300>,
    /// Forecast hour by hour, each from the one before, instead of all at once.
    #[arg(long)]
    pub feed_back: bool,
}

/// The network: one LSTM reads, and a dense layer makes all hours of its last state; or a second LSTM goes on from there.
struct Network {
    reader: Model,
    writer: Option<Model>,
}

impl Network {
    fn new(device: &Device, feed_back: bool, seed: u32) -> wgrnn::Result<Self> {
        let lstm = |inputs| RnnConfig::new(Cell::Lstm, inputs, HIDDEN);
        let reader = ModelConfig::features(lstm(FEATURES), AHEAD).outputs((!feed_back).then_some(AHEAD));
        let reader = Model::new(device, &reader, seed)?;
        let writer = || Model::new(device, &ModelConfig::features(lstm(1), 1), seed.wrapping_add(1));
        Ok(Self { reader, writer: if feed_back { Some(writer()?) } else { None } })
    }

    /// Temperatures [24, N] after the hours [48, N, 5] and the temperature now, [N, 1].
    fn forecast(&self, tape: &mut Tape, past: &Value, now: &Value) -> wgrnn::Result<Value> {
        let size = past.shape()[1];
        let state = self.reader.device_state(size)?;
        let hours = self.reader.forward(tape, past, &state, &RnnCall::default().output(Output::Last))?;
        match &self.writer {
            Some(writer) => writer.feed_back(tape, now, &state, AHEAD)?.reshape(&[AHEAD, size]),
            None => tape.contiguous(&hours.transpose(0, 1)?),
        }
    }
}

/// Windows of the weather on the device.
struct Windows {
    past: Tensor,
    now: Tensor,
    future: Tensor,
}

impl Windows {
    fn new(device: &Device, size: usize) -> wgrnn::Result<Self> {
        let zeros = |shape: &[usize]| Tensor::zeros(device, shape);
        Ok(Self { past: zeros(&[PAST, size, FEATURES])?, now: zeros(&[size, 1])?, future: zeros(&[AHEAD, size])? })
    }

    fn read(&self, tape: &mut Tape, network: &Network) -> wgrnn::Result<Value> {
        let (past, now, future) = (tape.input(&self.past)?, tape.input(&self.now)?, tape.input(&self.future)?);
        let forecast = network.forecast(tape, &past, &now)?;
        tape.mean_squared_error(&forecast, &future)?;
        Ok(forecast)
    }

    fn write(&self, weather: &Weather, firsts: &[usize]) -> wgrnn::Result<()> {
        let batch = weather.batch(firsts);
        self.past.write(batch.past.view())?;
        self.now.write(batch.past.slice(s![PAST - 1, .., 0]).insert_axis(Axis(1)))?;
        self.future.write(batch.future.t())
    }
}

/// Trains, and forecasts the last quarter of the year.
pub fn run(options: &Options) -> Result<Outcome> {
    let common = &options.common;
    let weather = Weather::load(common.data())?;
    let device = common.start()?;
    let network = Network::new(&device, options.feed_back, common.seed)?;
    let windows = Windows::new(&device, BATCH)?;
    let mut tape = Tape::training(&device)?;
    windows.read(&mut tape, &network)?;
    let mut trainer = adam(tape, 3e-3, common.seed)?;

    let kind = if options.feed_back { "--feed-back" } else { "" };
    let course = Course::new("forecast", "windows", BATCH).settings(kind);
    let curves = course
        .train(common, &mut trainer, |step, seed| Ok(windows.write(&weather, &weather.drawn(BATCH, seed, step))?))?;

    let forecast = |range: Range<usize>| -> Result<Array2<f32>> {
        let windows = Windows::new(&device, range.len())?;
        let mut tape = Tape::evaluating(&device)?;
        let forecast = windows.read(&mut tape, &network)?;
        windows.write(&weather, &range.collect::<Vec<_>>())?;
        let hours = Reading::new(tape, &forecast)?.run()?.into_dimensionality()?.reversed_axes();
        Ok(hours.mapv(|scaled| weather.celsius(scaled)))
    };
    let outcome =
        Outcome::new(format!("{} forecasts from {} on", weather.tested().len(), weather.times[weather.tested().start]));
    let mut outcome = outcome.number("mean error, °C").number("80 % interval, ± °C").percent("held");
    let mut row = |name: &str, forecast: &dyn Fn(Range<usize>) -> Result<Array2<f32>>| -> Result<Intervals> {
        let errors = |windows: Range<usize>| -> Result<_> { Ok(weather.errors(windows.clone(), &forecast(windows)?)) };
        let (intervals, new) = (Intervals::new(&errors(weather.measured())?, PART), errors(weather.tested())?);
        let error = new.mapv(|error| f64::from(error.abs())).mean().unwrap_or_default();
        outcome = std::mem::take(&mut outcome).row(name, &[error, intervals.mean(), intervals.held(&new)]);
        Ok(intervals)
    };
    let hour = |hour: &dyn Fn(usize, usize) -> usize, windows| {
        Ok(Weather::forecasts(windows, |first, k| weather.temperature[hour(first, k)]))
    };
    row("the same hour yesterday", &|windows| hour(&|first, k| first + k - AHEAD, windows))?;
    row("the last temperature", &|windows| hour(&|first, _| first - 1, windows))?;
    let intervals = row("LSTM", &forecast)?;
    common
        .draw("forecast_loss.svg", |path| curves.draw(path, "Temperatures", "mean squared error (1: the variance)"))?;
    common.draw("forecast.svg", |path| weather.draw_week(path, &forecast(weather.tested())?, &intervals))?;
    Ok(outcome)
}

fn main() -> Result<()> {
    lessons::tell(run(&Options::parse()))
}
