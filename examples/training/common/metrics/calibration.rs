//! Whether one may believe how sure a model is.

/// Bins of equal width.
const BINS: usize = 10;

/// How sure a model of two classes was, beside how often it was right.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// The part that it was right about.
    pub accuracy: f64,
    /// The expected calibration error (Guo et al. 2017): over ten bins of its confidence, which goes from ½ to 1, the mean distance
    /// between mean confidence and the part that was right, weighted by what a bin has.
    pub error: f64,
    /// Of each bin that has something: mean confidence, the part that was right, and how many there were.
    pub bins: Vec<(f64, f64, usize)>,
}

impl Calibration {
    /// From probabilities that something is so, and whether it is.
    pub fn new(probabilities: &[f64], truth: &[bool]) -> Self {
        let mut bins = [(0.0, 0, 0); BINS];
        for (&probability, &truth) in probabilities.iter().zip(truth) {
            let confidence = probability.max(1.0 - probability);
            let bin = &mut bins[(((confidence - 0.5) * 2.0 * BINS as f64) as usize).min(BINS - 1)];
            bin.0 += confidence;
            bin.1 += usize::from((probability > 0.5) == truth);
            bin.2 += 1;
        }
        let all = truth.len().max(1) as f64;
        let filled = bins.into_iter().filter(|bin| bin.2 > 0);
        let bins: Vec<(f64, f64, usize)> =
            filled.map(|(sum, right, count)| (sum / count as f64, right as f64 / count as f64, count)).collect();
        Self {
            accuracy: bins.iter().map(|&(_, right, count)| right * count as f64).sum::<f64>() / all,
            error: bins.iter().map(|&(sure, right, count)| (sure - right).abs() * count as f64).sum::<f64>() / all,
            bins,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_is_right_as_often_as_it_is_sure_has_no_error() {
        let sure = Calibration::new(&[0.75, 0.75, 0.25, 0.75], &[true, true, false, false]);
        assert_eq!((sure.accuracy, sure.error), (0.75, 0.0));
        assert_eq!(sure.bins, [(0.75, 0.75, 4)]);
        let boaster = Calibration::new(&[1.0, 1.0, 0.5, 0.0], &[true, false, false, true]);
        // Of three that it was sure of one was right, and of one it was not; both bins count by what they have.
        assert!(
            (boaster.accuracy - 0.5).abs() < 1e-12 && (boaster.error - (2.0 + 0.5) / 4.0).abs() < 1e-12,
            "{boaster:?}"
        );
        assert_eq!(Calibration::new(&[], &[]).error, 0.0);
    }
}
