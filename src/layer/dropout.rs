//! Dropout as commands of a plan: of a layer's output, of a tape's value, of the states that R sees.

use super::pack::row_lanes;
use super::places::{At, Draw};
use crate::kernels::{DropoutParams, FLAT, Kernel, Variant};
use crate::plan::{BufferId, PlanBuilder, Value};

/// Drops numbers of a value, in place: each with this probability; the others grow so that the mean stays.
pub(crate) fn emit_dropout(plan: &mut PlanBuilder, seed: BufferId, value: &Value, probability: f64, stream: u32) {
    drop_numbers(plan, Draw { seed, stream }, value.into(), value.len(), probability);
}

/// Drops numbers of a part of a buffer, in place.
pub(super) fn drop_numbers(
    plan: &mut PlanBuilder,
    Draw { seed, stream }: Draw,
    At { buffer, offset }: At,
    count: usize,
    probability: f64,
) {
    let params = DropoutParams {
        count,
        offset,
        threshold: threshold(probability),
        scale: ((1.0 / (1.0 - probability)) as f32),
        stream,
        seed_offset: 0,
        row_lanes: row_lanes(count),
    };
    let variant = Variant::plain(Kernel::Dropout, FLAT, plan.device().panel());
    plan.draft.dispatch(variant, vec![seed, buffer], &params.words());
}

/// Of 2³², how likely a number is kept that dropout drops with this probability.
pub(crate) fn threshold(probability: f64) -> u32 {
    // Saturates: at 0 one in 2³² is lost all the same.
    ((1.0 - probability) * 4_294_967_296.0) as u32
}
