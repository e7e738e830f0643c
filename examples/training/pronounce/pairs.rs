//! Words with their pronunciation, as symbols.

use anyhow::{Context, Result, ensure};
use rand_mt::Mt;
use std::collections::BTreeSet;

/// Letters are a to z.
pub const LETTERS: usize = 26;

/// A word and what it sounds like.
pub struct Pair {
    pub word: String,
    pub letters: Vec<u32>,
    pub phonemes: Vec<u32>,
}

/// Phonemes by their index; then the start and the end mark.
pub struct Phonemes(Vec<String>);

impl Phonemes {
    pub fn start(&self) -> u32 {
        self.0.len() as u32
    }

    pub fn end(&self) -> u32 {
        self.start() + 1
    }

    /// Phonemes and both marks.
    pub fn symbols(&self) -> usize {
        self.0.len() + 2
    }

    pub fn spell(&self, phonemes: &[u32]) -> String {
        let names = phonemes.iter().map(|&index| self.0.get(index as usize).map_or("?", String::as_str));
        names.collect::<Vec<_>>().join(" ")
    }
}

/// What to learn from, and what to be tested on.
pub struct Pairs {
    pub phonemes: Phonemes,
    pub learned: Vec<Pair>,
    pub tested: Vec<Pair>,
}

impl Pairs {
    pub fn load() -> Result<Self> {
        let [learned, tested] = [("train.tsv", include_str!("train.tsv")), ("test.tsv", include_str!("test.tsv"))];
        let names: BTreeSet<_> =
            learned.1.lines().filter_map(|line| line.split_once('\t')).flat_map(|line| line.1.split(' ')).collect();
        let phonemes = Phonemes(names.into_iter().map(str::to_owned).collect());
        let parse = |(file, text): (&str, &str)| parse(text, &phonemes).with_context(|| file.to_owned());
        Ok(Self { learned: parse(learned)?, tested: parse(tested)?, phonemes })
    }

    /// The pairs of a training step, from 0: all in a new order, then again. It depends on seed and step only, so that
    /// training goes on as if it had not been interrupted.
    pub fn batch(&self, size: usize, seed: u32, step: u32) -> Vec<&Pair> {
        let size = size.min(self.learned.len());
        let batches = (self.learned.len() / size) as u32;
        let order = order(self.learned.len(), seed, step / batches);
        let from = (step % batches) as usize * size;
        order[from..from + size].iter().map(|&i| &self.learned[i]).collect()
    }
}

fn parse(text: &str, phonemes: &Phonemes) -> Result<Vec<Pair>> {
    let pair = |line: &str| -> Result<Pair> {
        let (word, sounds) = line.split_once('\t').context("no tabulator")?;
        let index = |name| phonemes.0.iter().position(|known| known == name).map(|index| index as u32);
        let phonemes = sounds.split(' ').map(|name| index(name).with_context(|| format!("unknown phoneme {name}")));
        Ok(Pair { word: word.to_owned(), letters: letters(word)?, phonemes: phonemes.collect::<Result<_>>()? })
    };
    text.lines().enumerate().map(|(i, line)| pair(line).with_context(|| format!("line {}", i + 1))).collect()
}

/// A word as letters' indices.
pub fn letters(word: &str) -> Result<Vec<u32>> {
    let lower = word.to_ascii_lowercase();
    ensure!(
        !lower.is_empty() && lower.bytes().all(|b| b.is_ascii_lowercase()),
        "the word '{word}': expected letters from a to z"
    );
    Ok(lower.bytes().map(|letter| u32::from(letter - b'a')).collect())
}

/// 0 to `count` in an order of an epoch's own (Fisher and Yates).
fn order(count: usize, seed: u32, epoch: u32) -> Vec<usize> {
    let mut random = Mt::new_with_key([seed, epoch]);
    let mut order: Vec<usize> = (0..count).collect();
    for i in (1..count).rev() {
        order.swap(i, random.next_u32() as usize % (i + 1));
    }
    order
}

/// Symbols to put in, take out or change to make `a` of `b` (Levenshtein).
pub fn distance(a: &[u32], b: &[u32]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let here = (row[j + 1] + 1).min(row[j] + 1).min(corner + usize::from(x != y));
            corner = std::mem::replace(&mut row[j + 1], here);
        }
    }
    row[b.len()]
}
