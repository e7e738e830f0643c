//! The nearest neighbour.

/// The index of what is nearest to `seen` by Euclid's distance, the first of equals; 0 where there is nothing.
pub fn nearest<'a>(known: impl IntoIterator<Item = &'a [f32]>, seen: &[f32]) -> usize {
    let far = |known: &[f32]| known.iter().zip(seen).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
    let known = known.into_iter().map(far).enumerate();
    known.fold((0, f32::INFINITY), |best, (i, far)| if far < best.1 { (i, far) } else { best }).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_of_equals_is_the_first() {
        let known = [[0.0, 3.0], [1.0, 1.0], [1.0, 1.0]];
        assert_eq!(nearest(known.iter().map(|point| &point[..]), &[0.9, 1.5]), 1);
        assert_eq!(nearest([], &[1.0]), 0);
    }
}
