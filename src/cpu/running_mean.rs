//! The mean of losses over batches.

use super::call::Call;
use crate::kernels::RunningMeanParams;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: RunningMeanParams = call.params();
    let (losses, valid, means) = (call.read(0), call.read(1), call.write(2));
    let count = valid[0];
    // Without targets the loss is NaN, and counts for nothing.
    if count == 0.0 {
        return;
    }
    let total = means[p.mean_at + 1] + count;
    let mean = means[p.mean_at];
    means[p.mean_at] = mean + (losses[p.value_at] - mean) * (count / total);
    means[p.mean_at + 1] = total;
}
