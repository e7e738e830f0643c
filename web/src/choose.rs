//! What comes next, by scores.

/// A character by its score: one of the `top_k` best, or of all where that is 0, with a probability that grows with
/// exp(score / temperature); `uniform`, from 0 to less than 1, decides. The best one at temperature 0.
pub fn choose(scores: &[f32], temperature: f64, top_k: usize, uniform: f64) -> usize {
    let mut best: Vec<usize> = (0..scores.len()).collect();
    best.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let Some(&first) = best.first() else { return 0 };
    if temperature == 0.0 {
        return first;
    }
    if top_k > 0 {
        best.truncate(top_k);
    }
    let weight = |&i: &usize| (f64::from(scores[i] - scores[first]) / temperature).exp();
    let mut left = uniform * best.iter().map(weight).sum::<f64>();
    let chosen = best.iter().find(|i| {
        left -= weight(i);
        left < 0.0
    });
    chosen.copied().unwrap_or(first)
}

#[cfg(test)]
mod tests {
    use super::choose;

    const SCORES: [f32; 4] = [0.0, 2.0, 1.0, -1.0];

    /// How often each is chosen for numbers that lie evenly.
    fn counts(temperature: f64, top_k: usize) -> [usize; 4] {
        let mut counts = [0; 4];
        (0..1000).for_each(|i| counts[choose(&SCORES, temperature, top_k, f64::from(i) / 1000.0)] += 1);
        counts
    }

    #[test]
    fn temperature_0_takes_the_best() {
        assert_eq!(counts(0.0, 0), [0, 1000, 0, 0]);
    }

    #[test]
    fn only_the_best_k_are_drawn() {
        assert_eq!(counts(1.0, 1), [0, 1000, 0, 0]);
        let [a, b, c, d] = counts(1.0, 2);
        assert!((a, d) == (0, 0) && b > c && c > 0, "{:?}", [a, b, c, d]);
        assert_eq!(counts(1.0, 0), counts(1.0, 99));
    }

    #[test]
    fn frequencies_are_those_of_softmax() {
        let total: f64 = SCORES.iter().map(|&score| f64::from(score / 0.5).exp()).sum();
        for (count, score) in counts(0.5, 0).into_iter().zip(SCORES) {
            let expected = 1000.0 * f64::from(score / 0.5).exp() / total;
            assert!((count as f64 - expected).abs() <= 1.0, "{count} for {expected}");
        }
    }
}
