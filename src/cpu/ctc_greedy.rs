//! The labels of the most probable alignment of each sequence: see `shaders/ctc_greedy.wgsl`.

use super::call::Call;
use crate::kernels::CtcGreedyParams;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: CtcGreedyParams = call.params();
    let (logits, norms) = (&call.read(0)[p.logits_offset..], call.read(1));
    let (best, lengths) = (call.read_indices(2), &call.read_indices(3)[p.lengths_offset..]);
    let labels: &mut [u32] = bytemuck::cast_slice_mut(call.write(4));
    let heads: &mut [u32] = bytemuck::cast_slice_mut(call.write(5));
    let scores = call.write(6);
    for n in 0..p.batch {
        let is_long = lengths[n] as usize > p.steps;
        let steps = if is_long { 0 } else { lengths[n] as usize };
        let labels = &mut labels[n * p.steps..][..p.steps];
        labels.fill(u32::MAX);
        let (mut count, mut sum, mut before) = (0, 0.0, None);
        for row in (0..steps).map(|t| t * p.batch + n) {
            let class = best[row];
            let norm = norms[row];
            sum += if norm.is_nan() { p.nan } else { logits[row * p.classes + class as usize] - norm };
            if class as usize != p.blank && before != Some(class) {
                labels[count] = class;
                count += 1;
            }
            before = Some(class);
        }
        heads[2 * n] = count as u32;
        heads[2 * n + 1] = u32::from(is_long);
        scores[n] = sum;
    }
}
