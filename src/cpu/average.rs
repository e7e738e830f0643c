//! Moving averages of weights.

use super::call::Call;
use crate::kernels::AverageParams;

pub(crate) fn run(call: &mut Call<'_>) {
    let p: AverageParams = call.params();
    let (weights, control, status) = (call.read(0), call.read(1), call.read_indices(2));
    let averaged = call.write(3);
    if control[1] == 0.0 || status[0] != 0 {
        return;
    }
    let part = control[5];
    for (average, &w) in averaged[..p.count].iter_mut().zip(weights) {
        // The second form gives the weight itself where the part is 1.
        *average = if part < 0.5 { *average + part * (w - *average) } else { w - (1.0 - part) * (w - *average) };
    }
}
