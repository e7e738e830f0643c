//! Nearest neighbours.

use super::super::metrics::largest;

/// Examples by which others are classified: each is of the class of the nearest one.
#[derive(Clone, Debug, Default)]
pub struct Nearest {
    examples: Vec<(Vec<f32>, usize)>,
}

impl Nearest {
    /// From examples of one length each, and their classes.
    pub fn fit(examples: impl IntoIterator<Item = (Vec<f32>, usize)>) -> Self {
        Self { examples: examples.into_iter().collect() }
    }

    /// The class of the nearest example by Euclidean distance, the first of equals; 0 without examples.
    pub fn classify(&self, features: &[f32]) -> usize {
        let far = |example: &[f32]| example.iter().zip(features).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        let near: Vec<f32> = self.examples.iter().map(|(example, _)| -far(example)).collect();
        self.examples.get(largest(&near)).map_or(0, |&(_, class)| class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_example_gives_its_class() {
        let nearest = Nearest::fit([(vec![0.0, 0.0], 3), (vec![1.0, 0.0], 5)]);
        assert_eq!(nearest.classify(&[0.4, 0.3]), 3);
        assert_eq!(nearest.classify(&[0.6, -0.3]), 5);
        assert_eq!(Nearest::default().classify(&[1.0]), 0);
    }
}
