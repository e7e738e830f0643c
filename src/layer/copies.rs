//! Copies of rows inside of a plan.

use super::pack::row_lanes;
use crate::kernels::{FLAT, GatherParams, Kernel, LinksParams, ScatterAddParams, Variant};
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

/// Rows of a table by index, `[m, columns]` from `[table_rows, columns]`, each of which begins at an offset and has so many words
/// from row to row; zeros where the index is beyond the table.
pub(super) fn gather_rows(
    plan: &mut PlanBuilder,
    [table, index, out]: [BufferId; 3],
    [m, table_rows, columns]: [usize; 3],
    [table_offset, table_row]: [usize; 2],
    [out_offset, out_row]: [usize; 2],
) {
    let params = GatherParams {
        m,
        columns,
        table_rows,
        table_offset,
        table_row,
        indexed: true,
        out_offset,
        out_row,
        nan: 0.0,
        row_lanes: row_lanes(m * columns),
        ..GatherParams::default()
    };
    let variant = Variant::plain(Kernel::Gather, FLAT, plan.device().panel());
    plan.draft.dispatch(variant, vec![table, index, out], &params.words());
}

/// Rows that one dispatch of `scatter_add` takes: its loops run over them.
const SCATTER_ROWS: usize = 8192;

/// Rows of values added to those of a table, `[table_rows, columns]`, by index; those with an index beyond the table are left out.
/// Indices begin at an offset, and so do values, which have so many words from row to row.
pub(crate) fn add_rows(
    plan: &mut PlanBuilder,
    [values, index, table]: [BufferId; 3],
    [index_offset, m]: [usize; 2],
    table_rows: usize,
    [values_offset, values_row, columns]: [usize; 3],
) {
    for start in (0..m).step_by(SCATTER_ROWS) {
        let end = m.min(start + SCATTER_ROWS);
        let params = ScatterAddParams {
            start,
            end,
            columns,
            table_rows,
            values_offset,
            values_row,
            index_offset,
            table_offset: 0,
            row_groups: end - start,
        };
        let links = plan.workspace("lists of equal indices", m);
        let lists = LinksParams { start, end, index_offset, row_lanes: row_lanes(end - start) };
        let variant = |kernel| Variant::plain(kernel, FLAT, plan.device().panel());
        let (list, add) = (variant(Kernel::Links), variant(Kernel::ScatterAdd));
        plan.draft.dispatch(list, vec![index, links], &lists.words());
        plan.draft.dispatch(add, vec![values, index, links, table], &params.words());
    }
}
