//! Copies of rows inside of a plan.

use super::pack::row_lanes;
use crate::kernels::{FLAT, GatherParams, Kernel, Variant};
use crate::plan::{BufferId, PlanBuilder};

/// Rows from one buffer to another, inside of a compute pass.
pub(crate) fn copy_rows(plan: &mut PlanBuilder, from: BufferId, to: BufferId, params: GatherParams) {
    let none = plan.workspace("no index", 1);
    let row_lanes = row_lanes(params.m as usize * params.columns as usize);
    let params = GatherParams { nan: f32::NAN.to_bits(), row_lanes, ..params };
    let variant = Variant::new(Kernel::Gather, FLAT, plan.device().panel());
    plan.draft.dispatch(variant, vec![from, none, to], &params.words());
}
