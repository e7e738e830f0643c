//! Utterances of nine speakers as sequences of cepstrum coefficients.

use super::{by_line, text};
use crate::baselines::Features;
use anyhow::{Context, Result, ensure};
use std::path::Path;

/// Numbers of a step.
pub const COEFFICIENTS: usize = 12;
/// Speakers that there are.
pub const SPEAKERS: usize = 9;
/// Steps of the longest utterance.
pub const LONGEST: usize = 29;

/// An utterance and who speaks.
#[derive(Clone, Debug, PartialEq)]
pub struct Utterance {
    /// A row for each step.
    pub steps: Vec<[f32; COEFFICIENTS]>,
    /// From 0.
    pub speaker: usize,
}

impl Utterance {
    /// Mean and deviation of each coefficient, 24 numbers that know nothing of the steps' order.
    pub fn features(&self) -> Features {
        let count = self.steps.len() as f32;
        let mean = |c: usize| self.steps.iter().map(|step| step[c]).sum::<f32>() / count;
        let square = |c: usize| self.steps.iter().map(|step| (step[c] - mean(c)).powi(2)).sum::<f32>() / count;
        (0..COEFFICIENTS).flat_map(|c| [(2 * c, mean(c)), (2 * c + 1, square(c).sqrt())]).collect()
    }
}

/// 270 utterances to learn from, 370 to be tested with.
///
/// # Errors
///
/// Files of another form.
pub fn load(folder: Option<&Path>) -> Result<[Vec<Utterance>; 2]> {
    let train = text(folder, "train.csv", include_str!("../../data/voice/train.csv"))?;
    let test = text(folder, "test.csv", include_str!("../../data/voice/test.csv"))?;
    let (mut train, mut test) = (by_line("train.csv", &train, parse)?, by_line("test.csv", &test, parse)?);
    // Coefficients with mean 0 and deviation 1 in the part to learn from.
    let steps: Vec<[f32; COEFFICIENTS]> = train.iter().flat_map(|utterance| utterance.steps.iter().copied()).collect();
    let all = Utterance { steps, speaker: 0 };
    let scales: Vec<f32> = all.features().into_iter().map(|(_, number)| number).collect();
    for step in train.iter_mut().chain(&mut test).flat_map(|utterance| &mut utterance.steps) {
        for (c, number) in step.iter_mut().enumerate() {
            *number = (*number - scales[2 * c]) / scales[2 * c + 1].max(1e-6);
        }
    }
    Ok([train, test])
}

fn parse(line: &str) -> Result<Utterance> {
    let (speaker, steps) = line.split_once(';').context("expected speaker; step; step ...")?;
    let speaker: usize = speaker.parse().context("expected the speaker's number first")?;
    ensure!((1..=SPEAKERS).contains(&speaker), "speaker {speaker}: expected 1 to {SPEAKERS}");
    let step = |step: &str| -> Result<[f32; COEFFICIENTS]> {
        let numbers = step.split_whitespace().map(str::parse).collect::<Result<Vec<f32>, _>>()?;
        ensure!(numbers.iter().all(|number| number.is_finite()), "a number that is not finite");
        let count = numbers.len();
        numbers.try_into().ok().with_context(|| format!("a step of {count} numbers instead of {COEFFICIENTS}"))
    };
    let steps = steps.split(';').map(step).collect::<Result<Vec<_>>>()?;
    ensure!(steps.len() <= LONGEST, "{} steps; {LONGEST} are the most", steps.len());
    Ok(Utterance { steps, speaker: speaker - 1 })
}
