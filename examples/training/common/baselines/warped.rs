//! Nearest neighbours of sequences, whose steps may come sooner or later.

use ndarray::{Array2, ArrayView1, ArrayView2, s};

/// Sequences by which others are classified. The distance is that of dynamic time warping (Sakoe and Chiba 1978): the least sum of
/// Euclidean distances over all ways to align two sequences from their first to their last steps, divided by the number of steps of both. Every other
/// step counts, which is four times as fast.
#[derive(Clone, Debug, Default)]
pub struct Warped<T> {
    examples: Vec<(Array2<f32>, T)>,
}

impl<T> Warped<T> {
    /// From sequences [steps, features] and what they are.
    pub fn fit<'a>(examples: impl IntoIterator<Item = (ArrayView2<'a, f32>, T)>) -> Self {
        let halved = |(example, class): (ArrayView2<'a, f32>, T)| (halved(&example), class);
        Self { examples: examples.into_iter().map(halved).collect() }
    }

    /// What the nearest sequence is, the first of equals; none without sequences.
    pub fn classify(&self, sequence: ArrayView2<'_, f32>) -> Option<&T> {
        let sequence = halved(&sequence);
        let distances = self.examples.iter().map(|(example, class)| (warped(example.view(), sequence.view()), class));
        distances.min_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, class)| class)
    }
}

fn halved(sequence: &ArrayView2<'_, f32>) -> Array2<f32> {
    sequence.slice(s![..;2, ..]).to_owned()
}

/// The distance by dynamic time warping.
fn warped(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>) -> f32 {
    let far = |x: ArrayView1<'_, f32>, y: ArrayView1<'_, f32>| {
        x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum::<f32>().sqrt()
    };
    // Of the row above; before the first step all is infinitely far, but for the corner.
    let mut row = vec![f32::INFINITY; b.nrows() + 1];
    row[0] = 0.0;
    for x in a.rows() {
        let mut corner = std::mem::replace(&mut row[0], f32::INFINITY);
        for (j, y) in b.rows().into_iter().enumerate() {
            let here = far(x, y) + corner.min(row[j]).min(row[j + 1]);
            corner = std::mem::replace(&mut row[j + 1], here);
        }
    }
    row[b.nrows()] / (a.nrows() + b.nrows()).max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn what_is_said_slowly_is_the_same() {
        let (up, down) = (array![[0.0], [1.0], [2.0]], array![[2.0], [1.0], [0.0]]);
        let slow = array![[0.0], [0.0], [1.0], [1.0], [2.0], [2.0], [2.0]];
        assert_eq!(warped(up.view(), slow.view()), 0.0);
        // 2, 0 and 2, and no way around them.
        assert!((warped(up.view(), down.view()) - 4.0 / 6.0).abs() < 1e-6);
        let warped = Warped::fit([(down.view(), "down"), (up.view(), "up")]);
        assert_eq!(warped.classify(slow.view()), Some(&"up"));
        assert_eq!(Warped::<u8>::default().classify(slow.view()), None);
    }
}
