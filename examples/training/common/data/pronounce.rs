//! Words with their pronunciation, as symbols.

use super::{by_line, text};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::path::Path;

/// Letters are a to z.
pub const LETTERS: usize = 26;

/// A word and what it sounds like.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// As it is written.
    pub word: String,
    /// Its letters, from 0.
    pub letters: Vec<u32>,
    /// Numbers of [`Phonemes`].
    pub phonemes: Vec<u32>,
}

/// Phonemes by their index; then the start and the end mark.
pub struct Phonemes(Vec<String>);

impl Phonemes {
    /// The mark that a pronunciation begins with.
    pub fn start(&self) -> u32 {
        self.0.len() as u32
    }

    /// The mark that it ends with.
    pub fn end(&self) -> u32 {
        self.start() + 1
    }

    /// Phonemes and both marks.
    pub fn symbols(&self) -> usize {
        self.0.len() + 2
    }

    /// Phonemes by their names.
    pub fn spell(&self, phonemes: &[u32]) -> String {
        let names = phonemes.iter().map(|&index| self.0.get(index as usize).map_or("?", String::as_str));
        names.collect::<Vec<_>>().join(" ")
    }
}

/// What to learn from, and what to be tested on.
pub struct Pairs {
    /// The phonemes that occur.
    pub phonemes: Phonemes,
    /// To learn from.
    pub learned: Vec<Pair>,
    /// To be tested with.
    pub tested: Vec<Pair>,
}

/// 12,000 words to learn from, 1,000 to be tested with.
///
/// # Errors
///
/// Files of another form.
pub fn load(folder: Option<&Path>) -> Result<Pairs> {
    let train = text(folder, "train.tsv", include_str!("../../data/pronounce/train.tsv"))?;
    let test = text(folder, "test.tsv", include_str!("../../data/pronounce/test.tsv"))?;
    let sounds = train.lines().filter_map(|line| line.split_once('\t')).flat_map(|line| line.1.split(' '));
    let phonemes = Phonemes(sounds.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect());
    let pair = |line: &str| -> Result<Pair> {
        let (word, sounds) = line.split_once('\t').context("expected word, tabulator, phonemes")?;
        let index = |name| phonemes.0.iter().position(|known| known == name).map(|index| index as u32);
        let sounds = sounds.split(' ').map(|name| index(name).with_context(|| format!("unknown phoneme '{name}'")));
        Ok(Pair { word: word.to_owned(), letters: letters(word)?, phonemes: sounds.collect::<Result<_>>()? })
    };
    let [learned, tested] = [by_line("train.tsv", &train, pair)?, by_line("test.tsv", &test, pair)?];
    Ok(Pairs { learned, tested, phonemes })
}

/// A word as letters' indices.
///
/// # Errors
///
/// Anything but letters from a to z.
pub fn letters(word: &str) -> Result<Vec<u32>> {
    let lower = word.to_ascii_lowercase();
    ensure!(
        !lower.is_empty() && lower.bytes().all(|b| b.is_ascii_lowercase()),
        "the word '{word}': expected letters from a to z"
    );
    Ok(lower.bytes().map(|letter| u32::from(letter - b'a')).collect())
}
