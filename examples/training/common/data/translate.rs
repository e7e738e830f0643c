//! Phrases in ten languages with their translation: a file of lines "language, phrase, translation", separated by tabs.

use super::{by_line, text};
use crate::baselines::recall;
use crate::plots::{Heat, heat};
use anyhow::{Context, Result, bail, ensure};
use ndarray::Array2;
use std::collections::BTreeSet;
use std::path::Path;

/// A phrase and its translation.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// The phrase's language.
    pub language: String,
    /// The phrase as it is written.
    pub phrase: String,
    /// Its characters, by their index.
    pub source: Vec<u32>,
    /// Its translation, by the indices of tokens.
    pub target: Vec<u32>,
}

/// What to learn from, and what to be tested on.
#[derive(Clone, Debug)]
pub struct Pairs {
    characters: Vec<char>,
    /// Words, digits and marks; with the space before them, if there is one.
    tokens: Vec<String>,
    /// Pairs to learn from.
    pub learned: Vec<Pair>,
    /// Pairs held out.
    pub tested: Vec<Pair>,
}

impl Pairs {
    /// The lesson's own pairs, or those of train.tsv and test.tsv in a folder.
    ///
    /// # Errors
    ///
    /// A file that can't be read, or has other lines than those; a held-out pair with a character or a token that none has to learn from.
    pub fn load(folder: Option<&Path>) -> Result<Self> {
        let learned = text(folder, "train.tsv", include_str!("../../data/translate/train.tsv"))?;
        let tested = text(folder, "test.tsv", include_str!("../../data/translate/test.tsv"))?;
        Self::parse(&learned, &tested)
    }

    fn parse(learned: &str, tested: &str) -> Result<Self> {
        let columns: Vec<[String; 3]> = by_line("train.tsv", learned, columns)?;
        let characters: BTreeSet<char> = columns.iter().flat_map(|[_, phrase, _]| phrase.chars()).collect();
        let words: BTreeSet<&str> = columns.iter().flat_map(|[_, _, translation]| tokens(translation)).collect();
        let mut pairs = Self {
            characters: characters.into_iter().collect(),
            tokens: words.into_iter().map(str::to_owned).collect(),
            learned: Vec::new(),
            tested: Vec::new(),
        };
        pairs.learned = by_line("train.tsv", learned, |line| pairs.pair(line))?;
        pairs.tested = by_line("test.tsv", tested, |line| pairs.pair(line))?;
        Ok(pairs)
    }

    fn pair(&self, line: &str) -> Result<Pair> {
        let index = |token: &str| {
            let place = self.tokens.binary_search_by(|known| known.as_str().cmp(token));
            place.map(|index| index as u32).ok().with_context(|| format!("'{token}' is in no translation of train.tsv"))
        };
        let [language, phrase, translation] = columns(line)?;
        let target = tokens(&translation).map(index).collect::<Result<_>>()?;
        Ok(Pair { language, source: self.source(&phrase)?, phrase, target })
    }

    /// A phrase's characters by their index.
    ///
    /// # Errors
    ///
    /// A phrase that is empty; characters that no phrase has that was learned.
    pub fn source(&self, phrase: &str) -> Result<Vec<u32>> {
        ensure!(!phrase.is_empty(), "a phrase without a character");
        let unknown: BTreeSet<char> = phrase.chars().filter(|c| self.characters.binary_search(c).is_err()).collect();
        if !unknown.is_empty() {
            let unknown = unknown.iter().map(|c| format!("'{c}'")).collect::<Vec<_>>().join(", ");
            bail!("the phrase '{phrase}' has characters that no phrase learned from has: {unknown}");
        }
        Ok(phrase.chars().flat_map(|c| self.characters.binary_search(&c)).map(|index| index as u32).collect())
    }

    /// The same for phrases that somebody asks for; if there is none, for the first ten held out.
    ///
    /// # Errors
    ///
    /// Those of [`source`](Self::source); a phrase that is longer than all that were learned.
    pub fn asked(&self, phrases: &[String]) -> Result<Vec<Vec<u32>>> {
        let longest = self.longest()[0];
        let ask = |phrase: &String| {
            let (source, length) = (self.source(phrase)?, phrase.chars().count());
            ensure!(length <= longest, "the phrase '{phrase}' has {length} characters, of which {longest} can be read");
            Ok(source)
        };
        if phrases.is_empty() {
            return Ok(self.tested.iter().take(10).map(|pair| pair.source.clone()).collect());
        }
        phrases.iter().map(ask).collect()
    }

    /// Characters as they are written.
    pub fn phrase(&self, source: &[u32]) -> String {
        source.iter().filter_map(|&index| self.characters.get(index as usize)).collect()
    }

    /// How many characters there are.
    pub fn characters(&self) -> usize {
        self.characters.len()
    }

    /// Tokens and two marks: what a translation begins with, [`start`](Self::start), and what it ends with, [`end`](Self::end).
    pub fn symbols(&self) -> usize {
        self.tokens.len() + 2
    }

    /// Both marks.
    pub fn marks(&self) -> [u32; 2] {
        [self.start(), self.end()]
    }

    /// The mark that a translation begins with.
    pub fn start(&self) -> u32 {
        self.tokens.len() as u32
    }

    /// The mark that a translation ends with.
    pub fn end(&self) -> u32 {
        self.tokens.len() as u32 + 1
    }

    /// A token as it is written; marks are not.
    pub fn token(&self, token: u32) -> &str {
        self.tokens.get(token as usize).map_or("", String::as_str)
    }

    /// A translation as it is written.
    pub fn spell(&self, tokens: &[u32]) -> String {
        tokens.iter().map(|&token| self.token(token)).collect()
    }

    /// The translation of the phrase learned that is most similar to another one of its language: what has to be beaten.
    pub fn remember(&self, pair: &Pair) -> Vec<u32> {
        let known = self.learned.iter().filter(|known| known.language == pair.language);
        recall(&pair.source, known.map(|known| (&known.source[..], &known.target[..])))
    }

    /// Names for a picture of what a decoder wrote: each word and the end, each character of the phrase.
    pub fn names(&self, source: &[u32], target: &[u32]) -> [Vec<String>; 2] {
        let words = target.iter().map(|&token| self.token(token).to_owned()).chain(["end".to_owned()]);
        [words.collect(), self.phrase(source).chars().map(String::from).collect()]
    }

    /// Draws where a decoder looked in a phrase, [words + 1, characters], while it wrote.
    ///
    /// # Errors
    ///
    /// A file that can't be written.
    pub fn draw(&self, path: &Path, phrase: &[u32], words: &[u32], looks: &Array2<f32>) -> Result<()> {
        let [rows, columns] = self.names(phrase, words);
        let axes = ["word written", "character looked at"];
        heat(path, "Where the decoder looks", 22, &Heat { values: looks.view(), rows, columns, axes })
    }

    /// The most characters of a phrase, and the most tokens of a translation.
    pub fn longest(&self) -> [usize; 2] {
        let all = || self.learned.iter().chain(&self.tested);
        let source = all().map(|pair| pair.source.len()).max();
        let target = all().map(|pair| pair.target.len()).max();
        [source, target].map(Option::unwrap_or_default)
    }
}

/// The columns of a line.
fn columns(line: &str) -> Result<[String; 3]> {
    let columns: Vec<String> = line.split('\t').map(str::to_owned).collect();
    let columns =
        <[String; 3]>::try_from(columns).ok().filter(|columns| columns.iter().all(|column| !column.is_empty()));
    columns.with_context(|| {
        let shown: String = line.chars().take(40).collect();
        format!("expected language, phrase and translation, separated by tabs, got '{shown}'")
    })
}

/// A text's words, digits and marks, each with the space before it, if there is one: together they are the text.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let after_space = rest.strip_prefix(' ').unwrap_or(rest);
        let letters = after_space.find(|c: char| !c.is_alphabetic()).unwrap_or(after_space.len());
        // A space at the end stands alone.
        let first = after_space.chars().next().map_or(0, char::len_utf8);
        let (token, more) = rest.split_at(rest.len() - after_space.len() + letters.max(first));
        rest = more;
        (!token.is_empty()).then_some(token)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_words_digits_and_marks_with_the_space_before() {
        let text = "Tuesday, March 13, 2026 – é";
        let expected = ["Tuesday", ",", " March", " 1", "3", ",", " 2", "0", "2", "6", " –", " é"];
        assert_eq!(tokens(text).collect::<Vec<_>>(), expected);
        assert_eq!(tokens("a  ").collect::<Vec<_>>(), ["a", "  "]);
        assert_eq!(tokens("").count(), 0);
        assert!(Pairs::load(None).unwrap().tested.iter().all(|pair| !pair.target.is_empty()));
    }

    #[test]
    fn phrases_are_found_by_their_characters_and_spelled_again() {
        let pairs = Pairs::parse("de\tvor 3 Tagen\t3 days ago\nfr\til y a 5 jours\t5 days ago\n", "de\tvor 5\t5 ago\n")
            .unwrap();
        assert_eq!(pairs.spell(&pairs.tested[0].target), "5 ago");
        assert_eq!(pairs.spell(&[pairs.start(), pairs.end()]), "");
        assert_eq!(pairs.longest(), [14, 3]);
        assert_eq!(pairs.symbols(), 6);
        let error = pairs.source("für Öl").unwrap_err().to_string();
        assert!(error.ends_with(": 'f', 'Ö', 'ü'"), "{error}");
        assert!(pairs.source("").is_err());
        let error = pairs.asked(&["vor 3 Tagen vor 3 Tagen".to_owned()]).unwrap_err().to_string();
        assert!(error.ends_with("has 23 characters, of which 14 can be read"), "{error}");
    }

    #[test]
    fn errors_name_file_and_line() {
        let good = "de\ta\tb\n";
        for (learned, tested, expected) in [
            ("", good, "train.tsv: no lines"),
            (good, "\n", "test.tsv: no lines"),
            ("de\ta\tb\nde\ta", good, "train.tsv, line 2: expected language, phrase and translation"),
            ("PK\u{3}\u{4}", good, "train.tsv, line 1: expected"),
            (good, "de\ta\tc\n", "test.tsv, line 1: 'c' is in no translation of train.tsv"),
            (good, "de\tc\tb\n", "test.tsv, line 1: the phrase 'c' has characters"),
        ] {
            let error = format!("{:#}", Pairs::parse(learned, tested).unwrap_err());
            assert!(error.starts_with(expected), "{error}");
        }
        let error = format!("{:#}", Pairs::load(Some(Path::new("nowhere"))).unwrap_err());
        assert!(error.starts_with("nowhere/train.tsv: --data is the folder"), "{error}");
    }
}
