//! Characters as numbers, and a text as streams that are read side by side.

use anyhow::{Result, ensure};
use ndarray::Array2;
use wgrnn::IGNORED;

/// The characters of a text, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary(Vec<char>);

impl Vocabulary {
    pub fn of(text: &str) -> Self {
        let mut characters: Vec<char> = text.chars().collect();
        characters.sort_unstable();
        characters.dedup();
        Self(characters)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn character(&self, index: usize) -> char {
        self.0.get(index).copied().unwrap_or(char::REPLACEMENT_CHARACTER)
    }

    /// A text as numbers; an error that names the characters it does not know.
    pub fn indices(&self, text: &str) -> Result<Vec<u32>> {
        let mut unknown = Vocabulary::of(text).0;
        unknown.retain(|character| !self.0.contains(character));
        ensure!(unknown.is_empty(), "the model has never seen the characters {unknown:?}: they are not in its text");
        let index = |character| self.0.binary_search(&character).map_or(0, |index| index as u32);
        Ok(text.chars().map(index).collect())
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
