//! BLEU, the usual measure of translations.

use std::collections::HashMap;
use std::hash::Hash;

/// The longest n-grams that are counted.
const LONGEST: usize = 4;

/// BLEU of translations beside one reference each (Papineni et al. 2002), from 0 to 1: of all n-grams of the translations, n from 1 to 4,
/// as many count as are in the reference as often; BLEU is the geometric mean of the four parts, times exp(1 − r/c) where the
/// translations' length c is less than the references' length r. All are summed over the corpus before anything is divided. As in the
/// paper nothing is smoothed: without a single 4-gram that is right it is 0.
pub fn bleu<T: Eq + Hash>(pairs: &[(Vec<T>, Vec<T>)]) -> f64 {
    let got = pairs.iter().map(|(got, _)| got.len()).sum::<usize>() as f64;
    let wanted = pairs.iter().map(|(_, wanted)| wanted.len()).sum::<usize>() as f64;
    let logarithms = (1..=LONGEST).map(|n| {
        let (mut right, mut all) = (0, 0);
        for (got, wanted) in pairs {
            let known = counts(wanted, n);
            for (gram, count) in counts(got, n) {
                right += count.min(known.get(gram).copied().unwrap_or(0));
                all += count;
            }
        }
        (right as f64 / all.max(1) as f64).ln()
    });
    let mean = logarithms.sum::<f64>() / LONGEST as f64;
    let brevity = if got < wanted { 1.0 - wanted / got } else { 0.0 };
    (mean + brevity).exp()
}

fn counts<T: Eq + Hash>(text: &[T], n: usize) -> HashMap<&[T], usize> {
    let mut counts = HashMap::new();
    text.windows(n).for_each(|gram| *counts.entry(gram).or_default() += 1);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words<'a>(pairs: &[(&'a str, &'a str)]) -> Vec<(Vec<&'a str>, Vec<&'a str>)> {
        let words = |text: &'a str| text.split_whitespace().collect::<Vec<_>>();
        pairs.iter().map(|(got, wanted)| (words(got), words(wanted))).collect()
    }

    #[test]
    fn bleu_is_as_computed_by_hand() {
        let (last_wrong, short) = (("a b c d e", "a b c d f"), ("a b c d", "a b c d e"));
        // 4/5, 3/4, 2/3 and 1/2 of the n-grams are right: the product is 1/5.
        let last_wrong_alone = 0.2_f64.powf(0.25);
        // All n-grams are right; 4 words stand for 5.
        let short_alone = (1.0_f64 - 5.0 / 4.0).exp();
        // Summed: 8/9, 6/7, 4/5 and 2/3; 9 words stand for 10.
        let together = (8.0_f64 / 9.0 * 6.0 / 7.0 * 4.0 / 5.0 * 2.0 / 3.0).powf(0.25) * (1.0_f64 - 10.0 / 9.0).exp();
        for (pairs, expected) in [
            (vec![last_wrong], last_wrong_alone),
            (vec![short], short_alone),
            (vec![last_wrong, short], together),
            (vec![("a b c d e f", "a b c d e f")], 1.0),
            // What is said again counts as often as the reference says it: 5 of 6, 4 of 5, 3 of 4, 2 of 3.
            (vec![("a a b c d e", "a b c d e x")], (5.0_f64 / 6.0 * 4.0 / 5.0 * 3.0 / 4.0 * 2.0 / 3.0).powf(0.25)),
            // The paper's example: 2 of 7 words count, and no pair of words is right.
            (vec![("the the the the the the the", "the cat is on the mat")], 0.0),
            (vec![("", "a")], 0.0),
            (vec![], 0.0),
        ] {
            let got = bleu(&words(&pairs));
            assert!((got - expected).abs() < 1e-12, "{pairs:?}: {got}, expected {expected}");
        }
    }
}
