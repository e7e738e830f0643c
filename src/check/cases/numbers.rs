//! Seeded numbers of cases.

use super::case::Words;
use crate::kernels::Packed;
use rand_mt::Mt;

/// Seeded numbers.
pub(crate) struct Numbers(Mt);

impl Numbers {
    pub(super) fn new(seed: usize) -> Self {
        Self(Mt::new(seed as u32))
    }

    /// Uniform over ±bound.
    pub(super) fn uniform(&mut self, count: usize, bound: f32) -> Vec<f32> {
        (0..count).map(|_| (self.0.next_u32() >> 8) as f32 / 8_388_608.0 * bound - bound).collect()
    }

    pub(super) fn below(&mut self, count: usize, end: usize) -> Vec<u32> {
        (0..count).map(|_| self.0.next_u32() % end as u32).collect()
    }
}

pub(crate) fn poison(count: usize) -> Words {
    Words::Numbers(vec![f32::NAN; count])
}

/// Random packed matrices. Scaled so that a dot with numbers up to 1 stays near 1.
pub(crate) fn packed(numbers: &mut Numbers, layout: Packed, batches: usize) -> Vec<f32> {
    let Packed { rows, columns, panel } = layout;
    let bound = 1.0 / (rows.max(1) as f32).sqrt();
    let mut words = vec![0.0; batches * layout.words()];
    for words in words.chunks_exact_mut(layout.words()) {
        for (i, value) in numbers.uniform(rows * columns, bound).into_iter().enumerate() {
            let (k, j) = (i / columns, i % columns);
            words[(k / panel * layout.pitch() + j) * panel + k % panel] = value;
        }
        for (j, value) in numbers.uniform(columns, 0.5).into_iter().enumerate() {
            words[(layout.panels() * layout.pitch() + j) * panel] = value;
        }
        // What follows a bias counts in half precision only.
        for (j, value) in numbers.uniform(if panel > 1 { columns } else { 0 }, 0.5).into_iter().enumerate() {
            words[layout.bias(j) + 1] = value;
        }
    }
    words
}
