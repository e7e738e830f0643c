//! Characters as numbers, a text as streams that are read side by side, and what a checkpoint says of its network.

use anyhow::{Context, Error, Result, ensure};
use clap::Args;
use ndarray::Array2;
use serde::{Deserialize, Serialize};
use std::fmt::{Display, Formatter};
use std::path::Path;
use std::str::FromStr;
use wgrnn::{Cell, IGNORED};

/// A text to learn: a file's, or else three plays of Shakespeare.
///
/// # Errors
///
/// A file that can't be read or is no text.
pub fn load(file: Option<&Path>) -> Result<String> {
    let Some(path) = file else { return Ok(include_str!("../../data/char_lm/text.txt").to_owned()) };
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    ensure!(!text.is_empty(), "{}: the text to learn is too short: 0 characters", path.display());
    Ok(text)
}

/// Any cell of the library, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CellName(pub Cell);

impl FromStr for CellName {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = || format!("expected gru, elman, ind_rnn, {}; got {name}", Cell::ALL.map(Cell::name).join(", "));
        Cell::named(&name.to_lowercase()).map(Self).with_context(known)
    }
}

impl TryFrom<String> for CellName {
    type Error = Error;

    fn try_from(name: String) -> Result<Self> {
        name.parse()
    }
}

impl From<CellName> for String {
    fn from(cell: CellName) -> Self {
        cell.to_string()
    }
}

impl Display for CellName {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name())
    }
}

/// The network, its characters, and how its text is read: what must be the same to go on. The demo page reads and writes it too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The recurrent cell.
    pub cell: CellName,
    /// Hidden units of a layer.
    pub hidden: usize,
    /// Recurrent layers.
    pub layers: usize,
    /// Dropout before, between and after recurrent layers.
    pub dropout: f64,
    /// Streams that are read side by side.
    pub batch: usize,
    /// Characters of a stream that are read in a step.
    pub length: usize,
    /// All characters of the text, as [`Vocabulary::text`] gives them.
    pub characters: String,
}

/// A network's sizes as options; what is not given is as the checkpoint has it, or the default.
#[derive(Args, Clone, Debug, Default)]
pub struct Sizes {
    /// The recurrent cell, by the library's name. [default: lstm]
    #[arg(long)]
    pub cell: Option<CellName>,
    /// Hidden units of a layer. [default: 128]
    #[arg(long)]
    pub hidden: Option<usize>,
    /// Recurrent layers. [default: 1]
    #[arg(long)]
    pub layers: Option<usize>,
    /// Dropout before, between and after recurrent layers. [default: 0]
    #[arg(long, allow_negative_numbers = true)]
    pub dropout: Option<f64>,
    /// Streams that are read side by side. [default: 32]
    #[arg(long)]
    pub batch: Option<usize>,
    /// Characters of a stream that are read in a step; gradients go back no further. [default: 64]
    #[arg(long)]
    pub length: Option<usize>,
}

impl Sizes {
    /// The network for a text, or the one of a checkpoint with these settings.
    ///
    /// # Errors
    ///
    /// A checkpoint of a text with other characters, or of another network than was asked for.
    pub fn describe(&self, vocabulary: &Vocabulary, saved: Option<&str>) -> Result<Description> {
        let default = Description {
            cell: CellName(Cell::Lstm),
            hidden: 128,
            layers: 1,
            dropout: 0.0,
            batch: 32,
            length: 64,
            characters: vocabulary.text(),
        };
        let saved = saved.map(Description::parse).transpose()?;
        if let Some(saved) = &saved {
            let same = saved.characters == default.characters;
            ensure!(same, "the checkpoint is of a text with other characters: give that text, or another --save");
        }
        let base = saved.clone().unwrap_or(default);
        let asked = Description {
            cell: self.cell.unwrap_or(base.cell),
            hidden: self.hidden.unwrap_or(base.hidden),
            layers: self.layers.unwrap_or(base.layers),
            dropout: self.dropout.unwrap_or(base.dropout),
            batch: self.batch.unwrap_or(base.batch),
            length: self.length.unwrap_or(base.length),
            characters: base.characters.clone(),
        };
        let told = || format!("the checkpoint was trained with {}, not with {}", base.options(), asked.options());
        ensure!(saved.is_none_or(|saved| saved == asked), told());
        Ok(asked)
    }
}

impl Description {
    /// From a checkpoint's settings.
    ///
    /// # Errors
    ///
    /// Text that is no description.
    pub fn parse(settings: &str) -> Result<Self> {
        serde_json::from_str(settings).context("the description of the checkpoint's network")
    }

    /// As a checkpoint's settings.
    ///
    /// # Errors
    ///
    /// None that can be met.
    pub fn settings(&self) -> Result<String> {
        Ok(serde_json::to_string(self)?)
    }

    /// As options of the command line.
    pub fn options(&self) -> String {
        let Self { cell, hidden, layers, dropout, batch, length, .. } = self;
        format!(
            "--cell {cell} --hidden {hidden} --layers {layers} --dropout {dropout} --batch {batch} --length {length}"
        )
    }
}

/// The characters of a text, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary(Vec<char>);

impl Vocabulary {
    /// All characters of a text.
    pub fn of(text: &str) -> Self {
        let mut characters: Vec<char> = text.chars().collect();
        characters.sort_unstable();
        characters.dedup();
        Self(characters)
    }

    /// Characters that there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The character of a number.
    pub fn character(&self, index: usize) -> char {
        self.0.get(index).copied().unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    /// A text as numbers.
    ///
    /// # Errors
    ///
    /// Characters that it does not know, by name.
    pub fn indices(&self, text: &str) -> Result<Vec<u32>> {
        let mut unknown = Vocabulary::of(text).0;
        unknown.retain(|character| !self.0.contains(character));
        ensure!(unknown.is_empty(), "the model has never seen the characters {unknown:?}: they are not in its text");
        let index = |character| self.0.binary_search(&character).map_or(0, |index| index as u32);
        Ok(text.chars().map(index).collect())
    }

    /// What a model begins to write with: a text, or if it is empty, the end of a line or else any character.
    ///
    /// # Errors
    ///
    /// Those of [`indices`](Self::indices).
    pub fn prompt(&self, text: &str) -> Result<Vec<u32>> {
        let begin = || self.indices("\n").unwrap_or_else(|_| vec![0]);
        Ok(if text.is_empty() { begin() } else { self.indices(text)? })
    }

    /// As a text that [`Vocabulary::of`] reads.
    pub fn text(&self) -> String {
        self.0.iter().collect()
    }
}

/// A text cut into as many streams as are read side by side, each in windows of some characters: what a window's state
/// was at its end is what the next one begins with.
pub struct Streams {
    text: Vec<u32>,
    streams: usize,
    length: usize,
    /// Characters of a stream.
    each: usize,
}

impl Streams {
    /// What does not fill a window is left out.
    ///
    /// # Errors
    ///
    /// A text that is too short.
    pub fn whole(text: Vec<u32>, streams: usize, length: usize) -> Result<Self> {
        ensure!(streams > 0 && length > 0, "batch and length must be at least 1");
        let needed = streams as u128 * length as u128 + 1;
        ensure!(
            text.len() as u128 >= needed,
            "the text to learn is too short: {} characters, where {streams} streams of {length} need {needed}; choose a \
             smaller --batch or --length",
            text.len()
        );
        let each = (text.len() - 1) / streams / length * length;
        Ok(Self { text, streams, length, each })
    }

    /// Every character counts; windows that are not full have targets to ignore.
    ///
    /// # Errors
    ///
    /// A text of less than two characters.
    pub fn all(text: Vec<u32>, streams: usize, length: usize) -> Result<Self> {
        ensure!(text.len() > 1, "the text held out is too short: {} characters", text.len());
        let each = (text.len() - 1).div_ceil(streams);
        Ok(Self { text, streams, length, each })
    }

    /// Windows of a stream.
    pub fn windows(&self) -> usize {
        self.each.div_ceil(self.length)
    }

    /// What is read in a window and what comes next, both [length, streams].
    pub fn window(&self, window: usize) -> [Array2<u32>; 2] {
        let at = |t: usize, n: usize, ahead: usize| {
            let place = window * self.length + t;
            let character = self.text.get(n * self.each + place + ahead).copied();
            character.filter(|_| place < self.each && n * self.each + place + 1 < self.text.len())
        };
        let shape = (self.length, self.streams);
        [
            Array2::from_shape_fn(shape, |(t, n)| at(t, n, 0).unwrap_or(0)),
            Array2::from_shape_fn(shape, |(t, n)| at(t, n, 1).unwrap_or(IGNORED)),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_follows_the_one_before_it_across_windows() {
        let streams = Streams::whole((0..21).collect(), 2, 5).unwrap();
        assert_eq!(streams.windows(), 2);
        let [x, targets] = streams.window(1);
        assert_eq!(x.column(0).to_vec(), [5, 6, 7, 8, 9]);
        assert_eq!(targets.column(1).to_vec(), [16, 17, 18, 19, 20]);
    }

    #[test]
    fn every_held_out_character_but_the_first_is_a_target_once() {
        let streams = Streams::all((0..24).collect(), 3, 5).unwrap();
        let mut targets: Vec<u32> = (0..streams.windows()).flat_map(|w| streams.window(w)[1].clone()).collect();
        targets.retain(|&target| target != IGNORED);
        targets.sort_unstable();
        assert_eq!(targets, (1..24).collect::<Vec<_>>());
    }

    #[test]
    fn short_texts_and_unknown_characters_are_named() {
        let error = Streams::whole(vec![0; 20], 2, 10).err().unwrap().to_string();
        assert!(error.contains("20 characters") && error.contains("need 21"), "{error}");
        let error = Vocabulary::of("abc").indices("aXbY").unwrap_err().to_string();
        assert!(error.contains("['X', 'Y']"), "{error}");
    }
}
