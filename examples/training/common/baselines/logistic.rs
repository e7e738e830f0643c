//! Multinomial logistic regression: a class's score is a weighted sum of features, and softmax makes probabilities of the scores.

use crate::metrics::largest;
use crate::order::shuffle;
use rand_mt::Mt;

/// Features that are not 0: index and value. A bag of words has a 1 for each word.
pub type Features = Vec<(usize, f32)>;

/// How it learns.
#[derive(Clone, Copy, Debug)]
pub struct Fit {
    /// How often the data are read.
    pub epochs: u32,
    /// The learning rate of the first epoch; that of epoch e is divided by 1 + e.
    pub rate: f32,
    /// What pulls a weight to 0 with every example that has its feature: half its square is added to the loss.
    pub decay: f32,
}

/// Multinomial logistic regression, learnt by stochastic gradient descent.
#[derive(Clone, Debug)]
pub struct Logistic {
    /// A row for each feature, then one for the biases.
    weights: Vec<f32>,
    classes: usize,
}

impl Logistic {
    /// Learns from examples and their classes.
    pub fn fit(examples: &[(Features, usize)], [features, classes]: [usize; 2], fit: Fit, seed: u32) -> Self {
        let mut model = Self { weights: vec![0.0; (features + 1) * classes], classes };
        let mut order: Vec<usize> = (0..examples.len()).collect();
        let mut generator = Mt::new(seed);
        for epoch in 0..fit.epochs {
            let rate = fit.rate / (1.0 + epoch as f32);
            shuffle(&mut order, &mut generator);
            for &i in &order {
                let (features, class) = &examples[i];
                let mut errors = model.probabilities(features);
                errors[*class] -= 1.0;
                for (feature, value) in features.iter().copied().chain([(model.weights.len() / classes - 1, 1.0)]) {
                    let weights = &mut model.weights[feature * classes..][..classes];
                    for (weight, error) in weights.iter_mut().zip(&errors) {
                        *weight -= rate * (error * value + fit.decay * *weight);
                    }
                }
            }
        }
        model
    }

    /// How probable each class is.
    pub fn probabilities(&self, features: &Features) -> Vec<f32> {
        let rows = self.weights.len() / self.classes;
        let mut scores = self.weights[(rows - 1) * self.classes..].to_vec();
        for &(feature, value) in features.iter().filter(|(feature, _)| *feature + 1 < rows) {
            let weights = &self.weights[feature * self.classes..][..self.classes];
            scores.iter_mut().zip(weights).for_each(|(score, weight)| *score += value * weight);
        }
        let most = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        scores.iter_mut().for_each(|score| *score = (*score - most).exp());
        let sum: f32 = scores.iter().sum();
        scores.into_iter().map(|score| score / sum).collect()
    }

    /// The classes of others' features.
    pub fn classify_all(&self, examples: impl IntoIterator<Item = Features>) -> Vec<usize> {
        examples.into_iter().map(|features| self.classify(&features)).collect()
    }

    /// The most probable class.
    pub fn classify(&self, features: &Features) -> usize {
        largest(&self.probabilities(features))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_learns_which_features_belong_to_which_class() {
        let example = |features: &[usize], class| (features.iter().map(|&f| (f, 1.0)).collect::<Features>(), class);
        let examples =
            [example(&[0, 2], 0), example(&[1, 2], 1), example(&[0, 3], 0), example(&[1], 1), example(&[4], 2)];
        let fit = Fit { epochs: 50, rate: 0.5, decay: 0.001 };
        let model = Logistic::fit(&examples, [5, 3], fit, 0);
        assert!(examples.iter().all(|(features, class)| model.classify(features) == *class));
        assert_eq!(model.classify(&vec![(3, 1.0), (0, 1.0)]), 0);
        let sum: f32 = model.probabilities(&vec![(2, 1.0)]).iter().sum();
        assert!((sum - 1.0).abs() < 1e-6);
        // Features that training did not have count for nothing.
        assert_eq!(model.probabilities(&vec![(9, 1.0)]), model.probabilities(&vec![]));
    }
}
