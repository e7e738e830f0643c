//! Outputs of masked steps that repeat those of the steps before them, forward and backward.

use super::copies::{add_rows, copy_rows, gather_rows};
use super::pass::Pass;
use super::places::At;
use crate::kernels::GatherParams;
use crate::plan::{BufferId, PlanBuilder};

/// Each direction's columns of an output, and the rows that those of its steps repeat.
fn directions(plan: &mut PlanBuilder, pass: &Pass<'_>, repeats: &[Vec<u32>; 2]) -> Vec<(usize, usize, BufferId)> {
    let config = pass.config();
    let width = config.output_size() / config.directions();
    let one = |direction: usize| {
        let is_reverse = config.is_reverse(direction * config.heads);
        let rows = &repeats[usize::from(is_reverse)];
        (direction * width, width, plan.constant("rows whose outputs are repeated", rows))
    };
    (0..config.directions()).map(one).collect()
}

/// The rows of an output, from those of valid steps.
pub(super) fn emit_repeats(plan: &mut PlanBuilder, pass: &Pass<'_>, repeats: &[Vec<u32>; 2], valid: BufferId, y: At) {
    let (rows, row) = (pass.rows.places, pass.config().output_size());
    for (column, width, index) in directions(plan, pass, repeats) {
        gather_rows(plan, [valid, index, y.buffer], [rows, rows, width], [column, row], [y.offset + column, row]);
    }
}

/// The gradients of the outputs of valid steps, from those of all rows.
pub(super) fn emit_repeats_backward(
    plan: &mut PlanBuilder,
    pass: &Pass<'_>,
    repeats: &[Vec<u32>; 2],
    dy: At,
    valid: BufferId,
) {
    let (rows, row) = (pass.rows.places, pass.config().output_size());
    for (column, width, index) in directions(plan, pass, repeats) {
        let sums = if width == row { valid } else { plan.workspace("sums of repeated outputs", rows * width) };
        plan.draft.clear(sums, 0, (rows * width) as u64);
        add_rows(plan, [dy.buffer, index, sums], [0, rows], rows, [dy.offset + column, row, width]);
        if width < row {
            let params = GatherParams {
                m: rows,
                columns: width,
                table_rows: rows,
                table_row: width,
                out_offset: column,
                out_row: row,
                ..Default::default()
            };
            copy_rows(plan, sums, valid, params);
        }
    }
}
