//! Copies of rows inside of a plan.

use super::pack::row_lanes;
use crate::kernels::{FLAT, GatherParams, Kernel, Variant};
use crate::plan::{BufferId, PlanBuilder, Value};

/// Numbers of a value to another one of as many, or added to those.
pub(crate) fn copy_value(plan: &mut PlanBuilder, from: &Value, to: &Value, accumulate: bool) {
    let count = from.len();
    let params = GatherParams {
        m: 1,
        columns: count,
        table_rows: 1,
        table_offset: from.offset,
        table_row: count,
        out_offset: to.offset,
        out_row: count,
        accumulate,
        ..GatherParams::default()
    };
    copy_rows(plan, from.buffer, to.buffer, params);
}

/// Rows from one buffer to another, inside of a compute pass.
pub(crate) fn copy_rows(plan: &mut PlanBuilder, from: BufferId, to: BufferId, params: GatherParams) {
    let none = plan.workspace("no index", 1);
    let row_lanes = row_lanes(params.m * params.columns);
    let params = GatherParams { nan: f32::NAN, row_lanes, ..params };
    let variant = Variant::plain(Kernel::Gather, FLAT, plan.device().panel());
    plan.draft.dispatch(variant, vec![from, none, to], &params.words());
}
