//! Cases of `dropout`.

use super::case::{Case, Words};
use super::numbers::Numbers;
use crate::device::Device;
use crate::kernels::{DropoutParams, FLAT, Kernel, Variant};
use crate::layer;

pub(crate) fn dropout(_: &Device) -> Vec<Case> {
    [(1, 0.5), (64, 0.1), (1000, 0.5), (1000, 0.0)].into_iter().map(|(count, p)| dropout_case(count, p)).collect()
}

pub(crate) fn dropout_case(count: usize, p: f64) -> Case {
    let mut numbers = Numbers::new(count);
    let params = DropoutParams {
        count,
        offset: 3,
        threshold: layer::threshold(p),
        scale: ((1.0 / (1.0 - p)) as f32),
        stream: 7,
        seed_offset: 1,
        row_lanes: 2 * FLAT.lanes as usize,
    };
    Case {
        name: format!("dropout of {count} with {p}"),
        variant: Variant::plain(Kernel::Dropout, FLAT, 4),
        // One product.
        tolerance: f64::from(f32::EPSILON),
        params: params.words(),
        window: 0,
        buffers: vec![Words::Indices(vec![0, 11, 5]), Words::Numbers(numbers.uniform(3 + count, 0.5))],
    }
}
