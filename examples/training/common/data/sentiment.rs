//! Reviews as numbers: words, vocabulary, batches of like lengths.

use super::{by_line, text};
use crate::baselines::{Features, Fit, Logistic};
use crate::order::shuffle;
use anyhow::{Context, Result, ensure};
use rand_mt::Mt;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// Stands for a word that the vocabulary lacks.
pub const UNKNOWN: u32 = 1;

/// Batches whose reviews are sorted by length together.
const CHUNK: usize = 20;

/// A review: its words, and whether it is positive.
#[derive(Clone, Debug, PartialEq)]
pub struct Review {
    /// Numbers of a vocabulary.
    pub words: Vec<u32>,
    /// Whether somebody found it so.
    pub positive: bool,
}

/// Words as they are counted: letters, digits and apostrophes in lower case, and each `!` and `?`.
pub fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut inside = false;
    for character in text.to_lowercase().chars() {
        let belongs = matches!(character, 'a'..='z' | '0'..='9' | '\'');
        match words.last_mut().filter(|_| inside && belongs) {
            Some(word) => word.push(character),
            None if belongs || matches!(character, '!' | '?') => words.push(character.to_string()),
            None => {}
        }
        inside = belongs;
    }
    words
}

/// Numbers of words that occur at least twice.
pub struct Vocabulary(HashMap<String, u32>);

impl Vocabulary {
    fn of(texts: &[(String, bool)]) -> Self {
        let mut counts = BTreeMap::<String, usize>::new();
        texts.iter().flat_map(|(text, _)| words(text)).for_each(|word| *counts.entry(word).or_default() += 1);
        let known = counts.into_iter().filter(|&(_, count)| count >= 2);
        Self(known.zip(UNKNOWN + 1..).map(|((word, _), index)| (word, index)).collect())
    }

    /// Numbers that there are, padding and unknown among them.
    pub fn symbols(&self) -> usize {
        self.0.len() + 2
    }

    /// A text as numbers; at least one.
    pub fn indices(&self, text: &str) -> Vec<u32> {
        let indices: Vec<u32> = words(text).iter().map(|word| self.0.get(word).copied().unwrap_or(UNKNOWN)).collect();
        if indices.is_empty() { vec![UNKNOWN] } else { indices }
    }
}

/// Reviews to learn and to be tested with.
pub struct Data {
    /// To learn from.
    pub train: Vec<Review>,
    /// To be tested with.
    pub test: Vec<Review>,
    /// The words of the former.
    pub vocabulary: Vocabulary,
}

/// 8,000 reviews to learn from, 1,171 to be tested with.
///
/// # Errors
///
/// Files of another form.
pub fn load(folder: Option<&Path>) -> Result<Data> {
    let train = text(folder, "train.tsv", include_str!("../../data/sentiment/train.tsv"))?;
    Data::new(&train, &text(folder, "test.tsv", include_str!("../../data/sentiment/test.tsv"))?)
}

impl Data {
    fn new(train: &str, test: &str) -> Result<Self> {
        let (train, test) = (by_line("train.tsv", train, parse)?, by_line("test.tsv", test, parse)?);
        let vocabulary = Vocabulary::of(&train);
        let reviews = |texts: Vec<(String, bool)>| {
            let review = |(text, positive): (String, _)| Review { words: vocabulary.indices(&text), positive };
            texts.into_iter().map(review).collect::<Vec<_>>()
        };
        let (train, test) = (reviews(train), reviews(test));
        Ok(Self { train, test, vocabulary })
    }

    /// Words of the longest review to learn from.
    pub fn longest(&self) -> usize {
        self.train.iter().map(|review| review.words.len()).max().unwrap_or(1)
    }

    /// How probable it is that each review of the test is positive by logistic regression on which words occur.
    pub fn bag_of_words(&self) -> Vec<f64> {
        let bag = |review: &Review| -> Features {
            let mut words = review.words.clone();
            words.sort_unstable();
            words.dedup();
            words.into_iter().map(|word| (word as usize, 1.0)).collect()
        };
        let examples: Vec<_> = self.train.iter().map(|review| (bag(review), review.positive.into())).collect();
        let model =
            Logistic::fit(&examples, [self.vocabulary.symbols(), 2], Fit { epochs: 20, rate: 0.1, decay: 0.01 }, 0);
        self.test.iter().map(|review| model.probabilities(&bag(review))[1].into()).collect()
    }
}

/// A line of label, tabulator, text.
fn parse(line: &str) -> Result<(String, bool)> {
    let (label, text) = line.split_once('\t').context("expected label, tabulator, text")?;
    ensure!(matches!(label, "positive" | "negative"), "expected 'positive' or 'negative' first, got '{label}'");
    ensure!(!text.trim().is_empty(), "a review without a text");
    Ok((text.to_owned(), label == "positive"))
}

/// The reviews of a step's batch, from 0: all of them in a random order, those of a batch of like lengths; then again. What does not fill
/// a batch waits for another round.
pub fn of_like_lengths(reviews: &[Review], size: usize, seed: u32, step: u32) -> Vec<&Review> {
    let size = size.clamp(1, reviews.len().max(1));
    let round = (reviews.len() / size).max(1) as u32;
    let mut generator = Mt::new_with_key([seed, step / round]);
    let mut order: Vec<&Review> = reviews.iter().collect();
    shuffle(&mut order, &mut generator);
    for chunk in order.chunks_mut(size * CHUNK) {
        chunk.sort_by_key(|review| review.words.len());
    }
    let mut batches: Vec<&[&Review]> = order.chunks_exact(size).collect();
    shuffle(&mut batches, &mut generator);
    batches.get((step % round) as usize).map(|batch| batch.to_vec()).unwrap_or_default()
}

/// A review in which one word in ten is unknown.
pub fn hide(review: &Review, seed: u32, step: u32) -> Review {
    // By its first words, so that no two reviews of a batch hide the same places.
    let key = review.words.iter().take(3).fold(step, |key, &word| key.wrapping_mul(31).wrapping_add(word));
    let mut generator = Mt::new_with_key([seed, step, key]);
    let word = |&word: &u32| if generator.next_u32() < u32::MAX / 10 { UNKNOWN } else { word };
    Review { words: review.words.iter().map(word).collect(), positive: review.positive }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_letters_digits_and_apostrophes_and_marks_stand_alone() {
        assert_eq!(words("It isn't 3-D, is it?!"), ["it", "isn't", "3", "d", "is", "it", "?", "!"]);
    }

    #[test]
    fn words_seen_once_are_unknown_and_a_text_is_never_empty() {
        let data = Data::new("positive\tgood good film\nnegative\tbad film\n", "negative\t...\n").unwrap();
        assert_eq!(data.vocabulary.symbols(), 4);
        assert_eq!(data.train[1].words, [UNKNOWN, 2]);
        assert_eq!((data.test[0].words.clone(), data.longest()), (vec![UNKNOWN], 3));
    }

    #[test]
    fn each_review_comes_once_an_epoch_beside_others_of_its_length() {
        let review = |i: u32| Review { words: vec![i; 1 + i as usize % 10], positive: true };
        let reviews: Vec<_> = (0..100).map(review).collect();
        let batches: Vec<_> = (20..40).map(|step| of_like_lengths(&reviews, 5, 1, step)).collect();
        let mut seen: Vec<u32> = batches.iter().flatten().map(|review| review.words[0]).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        for batch in batches {
            assert!(batch.iter().all(|review| review.words.len() == batch[0].words.len()));
        }
    }

    #[test]
    fn one_word_in_ten_is_hidden_the_same_ones_in_the_same_step() {
        let review = Review { words: (2..2002).collect(), positive: true };
        let hidden = hide(&review, 3, 4);
        let count = hidden.words.iter().filter(|&&word| word == UNKNOWN).count();
        // Binomial of 2,000 and 0.1: 200, give or take five deviations of 13.
        assert!((133..267).contains(&count), "{count}");
        assert!(hidden == hide(&review, 3, 4) && hidden != hide(&review, 3, 5));
    }

    #[test]
    fn wrong_lines_are_named() {
        let error = format!("{:#}", Data::new("positive\tfine\nso-so\tx\n", "").err().unwrap());
        assert!(error.contains("train.tsv") && error.contains("line 2") && error.contains("so-so"), "{error}");
    }
}
