//! Cases of `average`.

use super::case::{Case, STEP, Words};
use super::numbers::Numbers;
use crate::device::Device;
use crate::kernels::{AverageParams, FLAT, Kernel, Variant};
use crate::layer;

pub(crate) fn average(_: &Device) -> Vec<Case> {
    let forms =
        [(1, 0.1, true, 0), (63, 1.0, true, 0), (1000, 0.75, true, 0), (64, 0.1, false, 0), (64, 0.1, true, STEP)];
    forms.map(|(count, part, go, bad)| average_case(count, part, go, bad)).into()
}

/// How many weights, the part of them, whether the step was to be taken, and the step that is not taken after all.
pub(crate) fn average_case(count: usize, part: f32, go: bool, bad: u32) -> Case {
    let mut numbers = Numbers::new(count);
    let row_lanes = (2 * FLAT.lanes as usize).max(layer::row_lanes(count) / 2);
    Case {
        name: format!("average of {count}, part {part}{}", if go && bad == 0 { "" } else { ", not taken" }),
        variant: Variant::plain(Kernel::Average, FLAT, 4),
        // A few roundings of numbers near 1.
        tolerance: 8.0 * f64::from(f32::EPSILON),
        params: AverageParams { count, row_lanes }.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(numbers.uniform(count, 1.0)),
            Words::Numbers(vec![f32::NAN, f32::from(u8::from(go)), f32::NAN, f32::NAN, f32::NAN, part]),
            Words::Indices(vec![bad]),
            Words::Numbers(numbers.uniform(count, 1.0)),
        ],
    }
}
