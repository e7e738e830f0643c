//! Cases of `reduce`.

use super::case::{Case, Words, dot_tolerance};
use super::numbers::{Numbers, poison};
use crate::device::Device;
use crate::kernels::{FLAT, Kernel, ReduceParams, Variant};

pub(crate) fn reduce(_: &Device) -> Vec<Case> {
    let sizes = [(1, 1), (63, 64), (1000, 100), (130, 1000)];
    let strides = [1, 1, 1, 3, 1];
    sizes.into_iter().flat_map(|size| [0, 1, 2, 3, 4].map(|form| reduce_case(size, form, strides[form]))).collect()
}

pub(crate) fn reduce_case((count, block): (usize, usize), form: usize, stride: usize) -> Case {
    let mut numbers = Numbers::new(count + block);
    let mut values = numbers.uniform(2 + count * stride, 1.0);
    // What a count leaves out, and spoilt values do not: adding to them gives neither.
    if form >= 2 {
        let masked = if form == 2 { f32::from_bits(u32::MAX) } else { f32::NAN };
        values.iter_mut().skip(2 + stride).step_by(3 * stride).for_each(|value| *value = masked);
    }
    let groups = count.div_ceil(block);
    let params = ReduceParams {
        count,
        block,
        form: form as u32,
        stride,
        values_offset: 2,
        out_offset: 1,
        divided: form == 0,
        divisor_offset: 1,
        nan: f32::NAN,
    };
    Case {
        name: format!("reduce of {count} by {block}, form {form}, stride {stride}"),
        variant: Variant::plain(Kernel::Reduce, FLAT, 4),
        // Sums of up to `block` terms, in one order; squares are rounded or fused.
        tolerance: dot_tolerance(block),
        params: params.words(),
        window: 0,
        buffers: vec![Words::Numbers(values), Words::Numbers(vec![0.0, 2.5]), poison(1 + groups)],
    }
}
