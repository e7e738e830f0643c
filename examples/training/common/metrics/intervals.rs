//! Forecasts with intervals.

use ndarray::Array2;

/// How far from forecasts the truth stays in a part of all cases, by steps ahead: split conformal prediction (Lei et al. 2018). Errors are
/// those of forecasts [windows, steps] that training did not see.
pub fn margins(errors: &Array2<f32>, part: f64) -> Vec<f32> {
    let margin = |column: ndarray::ArrayView1<'_, f32>| {
        let mut sorted: Vec<f32> = column.iter().map(|error| error.abs()).collect();
        sorted.sort_by(f32::total_cmp);
        // One more than there are: the new case counts too.
        let rank = ((sorted.len() + 1) as f64 * part).ceil() as usize;
        sorted.get(rank.max(1) - 1).copied().unwrap_or(f32::INFINITY)
    };
    errors.columns().into_iter().map(margin).collect()
}

/// The part of errors [windows, steps] that margins by steps cover.
pub fn coverage(errors: &Array2<f32>, margins: &[f32]) -> f64 {
    let covered = errors.indexed_iter().filter(|((_, step), error)| error.abs() <= margins[*step]).count();
    covered as f64 / errors.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn margins_cover_the_part_that_was_asked_for() {
        let errors = Array2::from_shape_fn((9, 2), |(n, step)| (n as f32 + 1.0) * if step == 0 { 1.0 } else { -10.0 });
        assert_eq!(margins(&errors, 0.8), [8.0, 80.0]);
        assert_eq!(coverage(&errors, &[8.0, 10.0]), 9.0 / 18.0);
        // Of so few nobody can say what all but one in a hundred stay within.
        assert_eq!(margins(&errors, 0.99), [f32::INFINITY; 2]);
    }
}
