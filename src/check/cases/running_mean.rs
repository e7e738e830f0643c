//! Cases of `running_mean`.

use super::case::{Case, Words};
use crate::device::Device;
use crate::kernels::{ALONE, Kernel, RunningMeanParams, Variant};

pub(crate) fn running_mean(_: &Device) -> Vec<Case> {
    let forms = [
        ("the first batch", 2.5, 7.0, [0.0, 0.0]),
        ("a later one", 0.5, 3.0, [1.5, 9.0]),
        ("none", f32::NAN, 0.0, [1.5, 9.0]),
    ];
    let case = |(name, loss, count, [mean, total]): (&str, f32, f32, [f32; 2])| Case {
        name: format!("running_mean with {name}"),
        variant: Variant::plain(Kernel::RunningMean, ALONE, 4),
        // A quotient and a few roundings of numbers near 1.
        tolerance: 8.0 * f64::from(f32::EPSILON),
        params: RunningMeanParams { value_at: 1, mean_at: 2 }.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(vec![f32::NAN, loss]),
            Words::Numbers(vec![count]),
            Words::Numbers(vec![0.25, 0.75, mean, total]),
        ],
    };
    forms.map(case).into()
}
