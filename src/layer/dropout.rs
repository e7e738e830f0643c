//! Dropout as commands of a plan: of a layer's output, of a tape's value, of the states that R sees.

use super::pack::row_lanes;
use super::reserve::threshold;
use crate::kernels::{DropoutParams, FLAT, Kernel, Variant};
use crate::plan::{BufferId, PlanBuilder, Value};

/// Drops numbers of a value, in place: each with this probability; the others grow so that the mean stays.
pub(crate) fn emit_dropout(plan: &mut PlanBuilder, seed: BufferId, value: &Value, probability: f64, stream: u32) {
    let count = value.shape().iter().product::<usize>();
    drop_numbers(plan, seed, (value.buffer, value.offset), count, probability, stream);
}

/// Drops numbers of a part of a buffer, in place.
pub(crate) fn drop_numbers(
    plan: &mut PlanBuilder,
    seed: BufferId,
    (buffer, offset): (BufferId, usize),
    count: usize,
    probability: f64,
    stream: u32,
) {
    let params = DropoutParams {
        count: count as u32,
        offset: offset as u32,
        threshold: threshold(probability),
        scale: ((1.0 / (1.0 - probability)) as f32).to_bits(),
        stream,
        seed_offset: 0,
        row_lanes: row_lanes(count),
    };
    let variant = Variant::new(Kernel::Dropout, FLAT, plan.device().panel());
    plan.draft.dispatch(variant, vec![seed, buffer], &params.words());
}
