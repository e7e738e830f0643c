//! Words spoken by many voices.

use super::grey::grey;
use super::mel::BANDS;
use super::{by_line, bytes, text};
use crate::metrics::distance;
use crate::order::batch;
use anyhow::{Context, Result, ensure};
use ndarray::{Array2, ArrayView2, s};
use rand_mt::Mt;
use std::path::Path;

/// Letters that words are written with.
pub const LETTERS: usize = 26;
/// Letters of the longest word.
pub const LONGEST: usize = 16;
/// Frames of a tile of the sheet.
const TILE: usize = 96;
/// Frames of the longest word as training hears it, varied.
pub const FRAMES: usize = 128;

/// A spoken word.
#[derive(Clone, Debug, PartialEq)]
pub struct Spoken {
    /// [frames, bands], from 0 (silence) to 1.
    pub levels: Array2<f32>,
    /// Its letters, a being 0.
    pub letters: Vec<usize>,
    /// Who speaks.
    pub voice: String,
}

/// What there is to learn from, and to be tested with.
#[derive(Clone, Debug)]
pub struct Speech {
    /// Words to learn.
    pub train: Vec<Spoken>,
    /// The same words, said by others.
    pub heard: Vec<Spoken>,
    /// Words that training never hears, said by those others.
    pub new: Vec<Spoken>,
}

/// Words as text.
pub fn word(letters: &[usize]) -> String {
    letters.iter().map(|&letter| char::from(b'a' + letter.min(25) as u8)).collect()
}

/// So many words at most, from all over the list.
pub fn some(spoken: &[Spoken], most: usize) -> Vec<Spoken> {
    spoken.iter().step_by(spoken.len().div_ceil(most.max(1)).max(1)).cloned().collect()
}

/// The sheet and its list.
///
/// # Errors
///
/// Files of another form.
pub fn load(folder: Option<&Path>) -> Result<Speech> {
    let sheet = bytes(folder, "speech.png", include_bytes!("../../data/speech/speech.png"))?;
    let sheet = grey(&sheet).context("speech.png")?;
    let list = text(folder, "speech.tsv", include_str!("../../data/speech/speech.tsv"))?;
    let list = by_line("speech.tsv", &list, parse)?;
    let (across, down) = (sheet.ncols() / TILE, sheet.nrows() / BANDS);
    let (tiles, lines) = (across * down, list.len());
    ensure!(
        lines <= tiles,
        "speech.png has {tiles} tiles of {TILE} x {BANDS} pixels; expected one for each of the {lines} lines of speech.tsv"
    );
    let mut speech = Speech { train: Vec::new(), heard: Vec::new(), new: Vec::new() };
    for (i, (part, letters, voice, frames)) in list.into_iter().enumerate() {
        let (top, left) = (i / across * BANDS, i % across * TILE);
        // The sheet has the lowest band at the bottom.
        let levels = sheet.slice(s![top..top + BANDS; -1, left..left + frames]).t().to_owned();
        let to = [&mut speech.train, &mut speech.heard, &mut speech.new];
        to.into_iter().zip(PARTS).filter(|(_, name)| *name == part).for_each(|(to, _)| {
            to.push(Spoken { levels: levels.clone(), letters: letters.clone(), voice: voice.clone() });
        });
    }
    let parts = [&speech.train, &speech.heard, &speech.new];
    ensure!(parts.iter().all(|part| !part.is_empty()), "speech.tsv: expected lines of each of {PARTS:?}");
    Ok(speech)
}

const PARTS: [&str; 3] = ["train", "heard", "new"];

fn parse(line: &str) -> Result<(String, Vec<usize>, String, usize)> {
    let fields: Vec<&str> = line.split('\t').collect();
    let &[part, word, voice, frames] = fields.as_slice() else {
        anyhow::bail!("expected part, word, voice and number of frames, got {} fields", fields.len())
    };
    ensure!(PARTS.contains(&part), "expected one of {PARTS:?}, got '{part}'");
    let is_word = (1..=LONGEST).contains(&word.len()) && word.bytes().all(|letter| letter.is_ascii_lowercase());
    ensure!(is_word, "expected a word of 1 to {LONGEST} letters from a to z, got '{word}'");
    let frames: usize = frames.parse().with_context(|| format!("frames: '{frames}'"))?;
    ensure!((1..=TILE).contains(&frames), "expected 1 to {TILE} frames, got {frames}");
    let letters = word.bytes().map(|letter| usize::from(letter - b'a')).collect();
    Ok((part.to_owned(), letters, voice.to_owned(), frames))
}

impl Speech {
    /// Words of a training step, each varied.
    pub fn varied(&self, size: usize, seed: u32, step: u32) -> Vec<Spoken> {
        let mut random = Mt::new_with_key([seed, step]);
        let chosen = batch(self.train.len(), size, seed, step);
        chosen.into_iter().map(|i| self.train[i].varied(&mut random)).collect()
    }

    /// The word to be learned that is nearest to these letters, the first of equals.
    pub fn nearest(&self, letters: &[usize]) -> Vec<usize> {
        let words = self.train.iter().map(|spoken| &spoken.letters);
        words.min_by_key(|word| distance(word, letters)).cloned().unwrap_or_default()
    }
}

impl Spoken {
    /// As the network hears it.
    pub fn example(&self) -> (ArrayView2<'_, f32>, &[usize]) {
        (self.levels.view(), &self.letters)
    }

    /// The same word as another voice might say it in another room: slower or faster, with its bands moved up or down, louder or fainter
    /// in the higher ones, over some noise, after some silence. Parts of it are lost.
    fn varied(&self, random: &mut Mt) -> Self {
        let mut uniform = |from: f32, to: f32| from + (to - from) * (random.next_u32() as f32 / 4_294_967_296.0);
        let (speed, size, tilt) = (uniform(0.8, 1.25), uniform(0.9, 1.1), uniform(-0.1, 0.1));
        let (gain, floor) = (uniform(-0.08, 0.0), uniform(-0.2, 0.35).max(0.0));
        let (before, after) = (uniform(0.0, 8.0) as usize, uniform(0.0, 8.0) as usize);
        let spoken = (self.levels.nrows() as f32 * speed) as usize;
        let frames = (before + spoken + after).min(FRAMES);
        let lost = [uniform(0.0, BANDS as f32) as usize, uniform(0.0, frames as f32) as usize];
        let widths = [uniform(0.0, 5.0) as usize, uniform(0.0, 5.0) as usize];
        let levels = Array2::from_shape_fn((frames, BANDS), |(t, band)| {
            let noise = floor + uniform(-0.06, 0.06);
            let is_lost =
                [band, t].iter().zip(lost).zip(widths).any(|((&at, from), width)| (from..from + width).contains(&at));
            if is_lost || t < before {
                return noise.max(0.0);
            }
            let level = between(&self.levels, (t - before) as f32 / speed, band as f32 * size);
            let level = if level > 0.0 { level + gain + tilt * (band as f32 / BANDS as f32 - 0.5) } else { 0.0 };
            level.max(noise).clamp(0.0, 1.0)
        });
        Self { levels, letters: self.letters.clone(), voice: self.voice.clone() }
    }
}

/// The level between frames and bands; beyond them there is silence.
fn between(levels: &Array2<f32>, frame: f32, band: f32) -> f32 {
    let (t, b) = (frame as usize, band as usize);
    let (dt, db) = (frame - t as f32, band - b as f32);
    let at = |t: usize, b: usize| levels.get((t, b)).copied().unwrap_or(0.0);
    let of = |t: usize| (1.0 - db) * at(t, b) + db * at(t, b + 1);
    (1.0 - dt) * of(t) + dt * of(t + 1)
}
