//! Reviews as numbers: words, vocabulary, batches of like lengths.

use anyhow::{Context, Result, ensure};
use rand_mt::Mt;
use std::collections::{BTreeMap, HashMap};

/// Stands where a sequence has ended.
pub const PADDING: u32 = 0;
/// Stands for a word that the vocabulary lacks.
pub const UNKNOWN: u32 = 1;

/// Batches whose reviews are sorted by length together.
const CHUNK: usize = 20;

/// A review: its words, and whether it is positive.
pub struct Review {
    pub words: Vec<u32>,
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
    fn of(texts: &[(Vec<String>, bool)]) -> Self {
        let mut counts = BTreeMap::<&str, usize>::new();
        texts.iter().flat_map(|(words, _)| words).for_each(|word| *counts.entry(word).or_default() += 1);
        let known = counts.into_iter().filter(|&(_, count)| count >= 2);
        Self(known.zip(UNKNOWN + 1..).map(|((word, _), index)| (word.to_owned(), index)).collect())
    }

    /// Numbers that there are, padding and unknown among them.
    pub fn len(&self) -> usize {
        self.0.len() + 2
    }

    /// A text as numbers; at least one.
    pub fn indices(&self, words: &[String]) -> Vec<u32> {
        let indices: Vec<u32> = words.iter().map(|word| self.0.get(word).copied().unwrap_or(UNKNOWN)).collect();
        if indices.is_empty() { vec![UNKNOWN] } else { indices }
    }
}

/// Reviews to learn and to be tested with.
pub struct Data {
    pub train: Vec<Review>,
    pub test: Vec<Review>,
    pub vocabulary: Vocabulary,
}

impl Data {
    /// From lines of label, tabulator, text.
    pub fn new(train: &str, test: &str) -> Result<Self> {
        let (train, test) = (parse(train).context("train.tsv")?, parse(test).context("test.tsv")?);
        let vocabulary = Vocabulary::of(&train);
        let reviews = |texts: Vec<(Vec<String>, bool)>| {
            let review = |(words, positive): (Vec<_>, _)| Review { words: vocabulary.indices(&words), positive };
            texts.into_iter().map(review).collect::<Vec<_>>()
        };
        let (train, test) = (reviews(train), reviews(test));
        Ok(Self { train, test, vocabulary })
    }

    /// Words of the longest review.
    pub fn longest(&self) -> usize {
        self.train.iter().chain(&self.test).map(|review| review.words.len()).max().unwrap_or(1)
    }
}

fn parse(lines: &str) -> Result<Vec<(Vec<String>, bool)>> {
    let line = |(i, line): (usize, &str)| {
        let (label, text) = line.split_once('\t').with_context(|| format!("line {} has no tabulator", i + 1))?;
        ensure!(matches!(label, "positive" | "negative"), "line {}: unknown label '{label}'", i + 1);
        Ok((words(text), label == "positive"))
    };
    lines.lines().enumerate().map(line).collect()
}

/// The reviews of an epoch in random order, as batches of like lengths; what does not fill a batch waits for another one.
pub fn batches<'a>(reviews: &'a [Review], size: usize, generator: &mut Mt) -> Vec<Vec<&'a Review>> {
    let mut order: Vec<&Review> = reviews.iter().collect();
    shuffle(&mut order, generator);
    for chunk in order.chunks_mut(size * CHUNK) {
        chunk.sort_by_key(|review| review.words.len());
    }
    let mut batches: Vec<Vec<&Review>> = order.chunks_exact(size).map(<[_]>::to_vec).collect();
    shuffle(&mut batches, generator);
    batches
}

pub fn shuffle<T>(items: &mut [T], generator: &mut Mt) {
    for i in (1..items.len()).rev() {
        items.swap(i, generator.next_u32() as usize % (i + 1));
    }
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
        assert_eq!(data.vocabulary.len(), 4);
        assert_eq!(data.train[1].words, [UNKNOWN, 2]);
        assert_eq!((data.test[0].words.clone(), data.longest()), (vec![UNKNOWN], 3));
    }

    #[test]
    fn each_review_comes_once_an_epoch_beside_others_of_its_length() {
        let review = |i: u32| Review { words: vec![i; 1 + i as usize % 10], positive: true };
        let reviews: Vec<_> = (0..100).map(review).collect();
        let batches = batches(&reviews, 5, &mut Mt::new(1));
        let mut seen: Vec<u32> = batches.iter().flatten().map(|review| review.words[0]).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        for batch in batches {
            assert!(batch.iter().all(|review| review.words.len() == batch[0].words.len()));
        }
    }

    #[test]
    fn wrong_lines_are_named() {
        let error = format!("{:#}", Data::new("positive\tfine\nso-so\tx\n", "").err().unwrap());
        assert!(error.contains("train.tsv") && error.contains("line 2") && error.contains("so-so"), "{error}");
    }
}
