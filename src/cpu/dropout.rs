//! values[i] = values[i] · scale where a random word is below the threshold, else 0.

use super::call::Call;
use super::threefry::threefry;
use crate::kernels::DropoutParams;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: DropoutParams = call.params();
    let seed = call.read_indices(0);
    let values = &mut call.write(1)[p.offset as usize..][..p.count as usize];
    let key = [seed[p.seed_offset as usize], seed[p.seed_offset as usize + 1]];
    for (i, value) in values.iter_mut().enumerate() {
        let [word, _] = threefry([i as u32, p.stream], key);
        *value = if word < p.threshold { *value * f32::from_bits(p.scale) } else { 0.0 };
    }
}
