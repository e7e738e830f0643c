//! Forecasts with intervals.

use ndarray::{Array2, ArrayView1};

/// Intervals around forecasts, by steps ahead (split conformal prediction, Lei et al. 2018).
#[derive(Clone, Debug, PartialEq)]
pub struct Intervals {
    /// How far from its forecast a step's interval reaches.
    pub margins: Vec<f32>,
}

impl Intervals {
    /// Intervals that hold the truth in a part of all cases, from errors [windows, steps] of forecasts that training did not see.
    pub fn new(errors: &Array2<f32>, part: f64) -> Self {
        let margin = |column: ArrayView1<'_, f32>| {
            let mut sorted: Vec<f32> = column.iter().map(|error| error.abs()).collect();
            sorted.sort_by(f32::total_cmp);
            // One more than there are: the new case counts too.
            let rank = ((sorted.len() + 1) as f64 * part).ceil() as usize;
            sorted.get(rank.max(1) - 1).copied().unwrap_or(f32::INFINITY)
        };
        Self { margins: errors.columns().into_iter().map(margin).collect() }
    }

    /// The mean margin.
    pub fn mean(&self) -> f64 {
        self.margins.iter().map(|&margin| f64::from(margin)).sum::<f64>() / self.margins.len().max(1) as f64
    }

    /// The part of errors [windows, steps] that the intervals hold.
    pub fn held(&self, errors: &Array2<f32>) -> f64 {
        let held = errors.indexed_iter().filter(|((_, step), error)| error.abs() <= self.margins[*step]).count();
        held as f64 / errors.len().max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_cover_the_part_that_was_asked_for() {
        let errors = Array2::from_shape_fn((9, 2), |(n, step)| (n as f32 + 1.0) * if step == 0 { 1.0 } else { -10.0 });
        let intervals = Intervals::new(&errors, 0.8);
        assert_eq!(
            (intervals.margins.clone(), intervals.mean(), intervals.held(&errors)),
            (vec![8.0, 80.0], 44.0, 16.0 / 18.0)
        );
        // Of so few nobody can say what all but one in a hundred stay within.
        assert_eq!(Intervals::new(&errors, 0.99).margins, [f32::INFINITY; 2]);
    }
}
