//! What a network has to beat: logistic regression on which words occur, in whatever order.

use super::data::{Review, shuffle};
use rand_mt::Mt;

const EPOCHS: u32 = 20;
/// Learning rate of the first epoch; that of epoch e is divided by 1 + e.
const RATE: f64 = 0.2;
/// How much weights shrink: half its square is added to the loss of a review for each of its words.
const DECAY: f64 = 0.005;

pub struct BagOfWords {
    weights: Vec<f64>,
    bias: f64,
}

impl BagOfWords {
    /// By stochastic gradient descent.
    pub fn train(reviews: &[Review], symbols: usize, seed: u32) -> Self {
        let mut model = Self { weights: vec![0.0; symbols], bias: 0.0 };
        let mut reviews: Vec<_> = reviews.iter().map(|review| (bag(&review.words), review.positive)).collect();
        let mut generator = Mt::new(seed);
        for epoch in 0..EPOCHS {
            let rate = RATE / f64::from(1 + epoch);
            shuffle(&mut reviews, &mut generator);
            for (bag, positive) in &reviews {
                let probability = 1.0 / (1.0 + (-model.score(bag)).exp());
                let error = probability - f64::from(u8::from(*positive));
                model.bias -= rate * error;
                for &word in bag {
                    let weight = &mut model.weights[word as usize];
                    *weight -= rate * (error + DECAY * *weight);
                }
            }
        }
        model
    }

    /// Above 0 for a positive review.
    fn score(&self, bag: &[u32]) -> f64 {
        self.bias + bag.iter().map(|&word| self.weights[word as usize]).sum::<f64>()
    }

    /// The part of reviews that it is right about.
    pub fn accuracy(&self, reviews: &[Review]) -> f64 {
        let right = reviews.iter().filter(|review| (self.score(&bag(&review.words)) > 0.0) == review.positive);
        right.count() as f64 / reviews.len().max(1) as f64
    }
}

/// Each word once.
fn bag(words: &[u32]) -> Vec<u32> {
    let mut words = words.to_vec();
    words.sort_unstable();
    words.dedup();
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_learns_which_words_are_good() {
        let review = |words: &[u32], positive| Review { words: words.to_vec(), positive };
        let train = [review(&[2, 4], true), review(&[3, 4], false), review(&[2, 5], true), review(&[3], false)];
        let model = BagOfWords::train(&train, 6, 0);
        assert_eq!(model.accuracy(&train), 1.0);
        assert_eq!(model.accuracy(&[review(&[5, 2, 4, 1], true), review(&[3, 3, 3, 4], false)]), 1.0);
    }
}
