//! A year of hourly weather as windows: what was, and the temperature that came.

use anyhow::{Context, Result, ensure};
use ndarray::{Array2, Array3, s};
use std::f32::consts::TAU;
use std::ops::Range;

/// Hours that a network sees.
pub const PAST: usize = 48;
/// Hours that it forecasts.
pub const AHEAD: usize = 24;
/// Temperature, dew point, pressure, and sine and cosine of the hour.
pub const FEATURES: usize = 5;
/// The part of the year that the network learns from; the rest is later.
const LEARNED: f64 = 0.75;

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
}

/// Some windows.
pub struct Batch {
    /// [PAST, N, FEATURES].
    pub past: Array3<f32>,
    /// Temperatures of the hours after, [N, AHEAD], of the same scale.
    pub future: Array2<f32>,
}

impl Weather {
    pub fn load() -> Result<Self> {
        Self::parse(include_str!("series.csv")).context("series.csv")
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
        let learned = (hours as f64 * LEARNED) as usize;
        ensure!(hours - learned > PAST + AHEAD, "only {hours} hours");
        let mut features = Array2::from_shape_vec((hours, FEATURES), features)?;
        let temperature = features.column(0).to_vec();
        let (mut mean, mut deviation) = (0.0, 1.0);
        for column in (0..3).rev() {
            // Of the part to learn from only: nothing of the rest may be known.
            let known = features.slice(s![..learned, column]).mapv(f64::from);
            (mean, deviation) = (known.mean().unwrap_or_default() as f32, known.std(0.0) as f32);
            features.column_mut(column).mapv_inplace(|value| (value - mean) / deviation);
        }
        Ok(Self { times, temperature, features, mean, deviation, learned })
    }

    /// Windows to learn from, each by the first hour to forecast.
    pub fn learned(&self) -> Range<usize> {
        PAST..self.learned - AHEAD + 1
    }

    /// Windows whose forecast is all in the rest.
    pub fn tested(&self) -> Range<usize> {
        self.learned..self.times.len() - AHEAD + 1
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

    pub fn celsius(&self, scaled: f32) -> f32 {
        scaled * self.deviation + self.mean
    }

    /// The mean absolute error in °C of what `forecast` gives for an hour, by window and hour after its first.
    pub fn error(&self, firsts: &[usize], mut forecast: impl FnMut(usize, usize) -> f32) -> f32 {
        let mut sum = 0.0;
        for (n, &first) in firsts.iter().enumerate() {
            for k in 0..AHEAD {
                sum += f64::from((forecast(n, k) - self.temperature[first + k]).abs());
            }
        }
        (sum / (firsts.len() * AHEAD) as f64) as f32
    }
}
