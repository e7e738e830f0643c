//! values[i] = values[i] · scale where a random word is below the threshold, else 0.

use super::call::Call;
use super::threefry::threefry;
use crate::kernels::DropoutParams;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: DropoutParams = call.params();
    let seed = call.read_indices(0);
    let values = &mut call.write(1)[p.offset..][..p.count];
    let key = [seed[p.seed_offset], seed[p.seed_offset + 1]];
    for (i, value) in values.iter_mut().enumerate() {
        let [word, _] = threefry([i as u32, p.stream], key);
        *value = if word < p.threshold { *value * p.scale } else { 0.0 };
    }
}
