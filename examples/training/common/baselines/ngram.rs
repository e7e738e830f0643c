//! n-grams: what comes next, by how often it came after the same few things.

use std::collections::HashMap;

/// Interpolated n-grams (Witten and Bell 1991): where a context was seen n times, with t different events after it and k times with this
/// one, P = (k + t·P′) / (n + t), P′ being the probability in the context that is shorter by one; in the empty context, P′ is that of
/// equal chances.
#[derive(Clone, Debug)]
pub struct Ngrams {
    events: usize,
    /// By a context's things, the nearest first: events that came, and how often.
    seen: HashMap<Vec<u32>, HashMap<u32, u32>>,
}

impl Ngrams {
    /// Knows nothing yet of so many events.
    pub fn new(events: usize) -> Self {
        Self { events, seen: HashMap::new() }
    }

    /// Learns what came after things, the nearest first: n-grams have n − 1 of them.
    pub fn learn(&mut self, context: &[u32], event: u32) {
        for length in 0..=context.len() {
            if !self.seen.contains_key(&context[..length]) {
                self.seen.insert(context[..length].to_vec(), HashMap::new());
            }
            if let Some(counts) = self.seen.get_mut(&context[..length]) {
                *counts.entry(event).or_default() += 1;
            }
        }
    }

    /// Bits for each symbol of a text that n-grams of another text predict.
    pub fn bits(learned: &[u32], tested: &[u32], events: usize, n: usize) -> f64 {
        let mut ngrams = Self::new(events);
        let context =
            |text: &[u32], i: usize| text[i.saturating_sub(n.max(1) - 1)..i].iter().rev().copied().collect::<Vec<_>>();
        (0..learned.len()).for_each(|i| ngrams.learn(&context(learned, i), learned[i]));
        let bits = |i: usize| -ngrams.probability(&context(tested, i), tested[i]).log2();
        (0..tested.len()).map(bits).sum::<f64>() / tested.len().max(1) as f64
    }

    /// The probability that an event comes after things, the nearest first.
    pub fn probability(&self, context: &[u32], event: u32) -> f64 {
        let mut probability = 1.0 / self.events.max(1) as f64;
        for length in 0..=context.len() {
            // What was never seen says nothing, nor do longer contexts that contain it.
            let Some(counts) = self.seen.get(&context[..length]) else { break };
            let (all, different) = (counts.values().sum::<u32>(), counts.len());
            let count = counts.get(&event).copied().unwrap_or(0);
            probability = (f64::from(count) + different as f64 * probability) / (f64::from(all) + different as f64);
        }
        probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_those_of_witten_and_bell() {
        let mut ngrams = Ngrams::new(4);
        for (context, event) in [([7, 8], 0), ([7, 9], 0), ([7, 8], 1), ([6, 8], 1)] {
            ngrams.learn(&context, event);
        }
        // Without context: 2 of 4, 2 different ones; after 7: 2 of 3; after 7 and, before it, 8: 1 of 2.
        let empty = (2.0 + 2.0 * 0.25) / (4.0 + 2.0);
        let seven = (2.0 + 2.0 * empty) / (3.0 + 2.0);
        assert_eq!(ngrams.probability(&[], 0), empty);
        assert_eq!(ngrams.probability(&[7, 8], 0), (1.0 + 2.0 * seven) / (2.0 + 2.0));
        assert_eq!(ngrams.probability(&[7, 3], 0), seven);
        let sum: f64 = (0..4).map(|event| ngrams.probability(&[7, 8], event)).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
        assert_eq!(Ngrams::new(4).probability(&[1], 3), 0.25);
    }

    #[test]
    fn what_always_follows_costs_few_bits() {
        let text: Vec<u32> = (0..400).map(|i| i % 4).collect();
        assert!(Ngrams::bits(&text, &text, 4, 2) < 0.1);
        // Without context, four symbols that are as frequent take two bits each.
        assert!((Ngrams::bits(&text, &text, 4, 1) - 2.0).abs() < 1e-3);
    }
}
