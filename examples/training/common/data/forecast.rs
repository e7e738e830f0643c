//! A year of hourly weather as windows: what was, and the temperature that came.

use super::text;
use crate::metrics::Intervals;
use crate::plots::{Band, Line, bands};
use anyhow::{Context, Result, ensure};
use ndarray::{Array2, Array3, s};
use rand_mt::Mt;
use std::f32::consts::TAU;
use std::ops::Range;
use std::path::Path;

/// Hours that a network sees.
pub const PAST: usize = 48;
/// Hours that it forecasts.
pub const AHEAD: usize = 24;
/// Temperature, dew point, pressure, and sine and cosine of the hour.
pub const FEATURES: usize = 5;
/// The part of the year that the network learns from, and the part up to which its errors are measured; the test is the rest.
const PARTS: [f64; 2] = [0.65, 0.75];

/// A year of weather.
pub struct Weather {
    /// Of each hour, as "2013-01-01T06:00" in UTC.
    pub times: Vec<String>,
    /// In °C.
    pub temperature: Vec<f32>,
    /// [hours, FEATURES], the first three with mean 0 and deviation 1 in the part to learn from.
    features: Array2<f32>,
    /// Mean and deviation of the temperature there.
    mean: f32,
    deviation: f32,
    /// Hours to learn from.
    learned: usize,
    /// Hours before the test.
    known: usize,
}

/// Some windows.
pub struct Batch {
    /// [PAST, N, FEATURES].
    pub past: Array3<f32>,
    /// Temperatures of the hours after, [N, AHEAD], of the same scale.
    pub future: Array2<f32>,
}

impl Weather {
    /// Hourly weather at Newark airport in 2013.
    ///
    /// # Errors
    ///
    /// A file of another form, or with too few hours.
    pub fn load(folder: Option<&Path>) -> Result<Self> {
        let series = text(folder, "series.csv", include_str!("../../data/forecast/series.csv"))?;
        Self::parse(&series).context("series.csv")
    }

    fn parse(text: &str) -> Result<Self> {
        let mut times = Vec::new();
        let mut features = Vec::new();
        for (i, line) in text.lines().enumerate().skip(1) {
            let (time, numbers) = line.split_once(',').with_context(|| format!("line {}: no comma", i + 1))?;
            let numbers = numbers.split(',').map(str::parse).collect::<Result<Vec<f32>, _>>();
            let numbers = numbers.with_context(|| format!("line {}", i + 1))?;
            ensure!(numbers.len() == 3, "line {}: {} numbers instead of 3", i + 1, numbers.len());
            let hour: f32 = time.get(11..13).context("no hour")?.parse().with_context(|| format!("line {}", i + 1))?;
            features.extend(numbers);
            features.extend([(TAU * hour / 24.0).sin(), (TAU * hour / 24.0).cos()]);
            times.push(time.to_owned());
        }
        let hours = times.len();
        let [learned, known] = PARTS.map(|part| (hours as f64 * part) as usize);
        ensure!(known - learned > PAST + AHEAD, "{hours} hours: expected some weeks at least");
        let mut features = Array2::from_shape_vec((hours, FEATURES), features)?;
        let temperature = features.column(0).to_vec();
        let (mut mean, mut deviation) = (0.0, 1.0);
        for column in (0..3).rev() {
            // Of the part to learn from only: nothing of the rest may be known.
            let known = features.slice(s![..learned, column]).mapv(f64::from);
            (mean, deviation) = (known.mean().unwrap_or_default() as f32, known.std(0.0) as f32);
            features.column_mut(column).mapv_inplace(|value| (value - mean) / deviation);
        }
        Ok(Self { times, temperature, features, mean, deviation, learned, known })
    }

    /// Windows to learn from, each by the first hour to forecast.
    pub fn learned(&self) -> Range<usize> {
        PAST..self.learned - AHEAD + 1
    }

    /// Windows that a training step, from 0, learns from: drawn at random.
    pub fn drawn(&self, size: usize, seed: u32, step: u32) -> Vec<usize> {
        let (mut random, learned) = (Mt::new_with_key([seed, step]), self.learned());
        (0..size).map(|_| learned.start + random.next_u32() as usize % learned.len()).collect()
    }

    /// Windows by which one learns how wrong forecasts are: later than those, and before the test.
    pub fn measured(&self) -> Range<usize> {
        self.learned..self.known - AHEAD + 1
    }

    /// Windows whose forecast is all in the rest.
    pub fn tested(&self) -> Range<usize> {
        self.known..self.times.len() - AHEAD + 1
    }

    /// Windows by their first hour to forecast.
    pub fn batch(&self, firsts: &[usize]) -> Batch {
        let mut past = Array3::zeros((PAST, firsts.len(), FEATURES));
        let mut future = Array2::zeros((firsts.len(), AHEAD));
        for (n, &first) in firsts.iter().enumerate() {
            past.slice_mut(s![.., n, ..]).assign(&self.features.slice(s![first - PAST..first, ..]));
            future.row_mut(n).assign(&self.features.slice(s![first..first + AHEAD, 0]));
        }
        Batch { past, future }
    }

    /// Forecasts [windows, AHEAD] by first hour and hours after it.
    pub fn forecasts(windows: Range<usize>, hour: impl Fn(usize, usize) -> f32) -> Array2<f32> {
        Array2::from_shape_fn((windows.len(), AHEAD), |(n, k)| hour(windows.start + n, k))
    }

    /// How far from the truth forecasts [windows, AHEAD] are, in °C.
    pub fn errors(&self, windows: Range<usize>, forecasts: &Array2<f32>) -> Array2<f32> {
        forecasts - Self::forecasts(windows, |first, k| self.temperature[first + k])
    }

    /// Draws the first week of the test: the forecasts [windows, AHEAD] made at each midnight, their intervals, and what came.
    ///
    /// # Errors
    ///
    /// A series without a midnight in the test; a file that can't be written.
    pub fn draw_week(&self, path: &Path, forecasts: &Array2<f32>, intervals: &Intervals) -> Result<()> {
        let midnight = |&first: &usize| self.times[first].ends_with("T00:00");
        let first =
            self.tested().find(midnight).context("series.csv: no midnight in the last quarter, to draw from")?;
        let days = (self.times.len() - first).div_euclid(AHEAD).min(7);
        let hours = |of: &dyn Fn(usize) -> f32| -> Vec<(f64, f64)> {
            (0..days * AHEAD).map(|hour| (hour as f64 / AHEAD as f64, of(hour).into())).collect()
        };
        let forecast = |hour: usize| forecasts[[first - self.known + hour / AHEAD * AHEAD, hour % AHEAD]];
        let edge = |side: f32| hours(&|hour| forecast(hour) + side * intervals.margins[hour % AHEAD]);
        let band = Band { name: "four times in five", low: edge(-1.0), high: edge(1.0) };
        let lines = [
            Line { name: "forecast at midnight", points: hours(&forecast) },
            Line { name: "what came", points: hours(&|hour| self.temperature[first + hour]) },
        ];
        let axes = [&format!("days from {}", &self.times[first][..10]), "temperature in °C"];
        bands(path, "24 hours forecast at each midnight (UTC)", axes, &lines, &[band])
    }

    /// A temperature of the windows' scale.
    pub fn celsius(&self, scaled: f32) -> f32 {
        scaled * self.deviation + self.mean
    }
}
