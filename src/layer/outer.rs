//! Gradients of matrices and biases: sums over rows of products, into the gradients of a block of parameters.

use super::schedule;
use crate::kernels::{Of, OuterParams, Tile, Variant};
use crate::parameters::Parameters;
use crate::plan::{BufferId, Parts, PlanBuilder};

/// The gradients of a block of parameters.
pub(crate) fn gradient_parts(plan: &mut PlanBuilder, parameters: &Parameters) -> Parts {
    plan.parts("gradients", parameters.gradient_storage(), parameters.len())
}

/// Σ over rows of one buffer times rows of another, into gradients from word `to` on, those of the next matrix of the batch
/// `c_batch` further: all matrices at once where their gradients lie in one buffer.
pub(crate) fn outer(
    plan: &mut PlanBuilder,
    [a, b, map]: [BufferId; 3],
    (target, to): (&Parts, usize),
    p: &OuterParams,
) {
    let place = |matrix: usize| target.at(to + matrix * p.c_batch);
    let (first, offset) = place(0);
    if place(p.batch.saturating_sub(1)).0 == first {
        outer_rows(plan, [a, b, map, first], &OuterParams { c_offset: offset, ..*p });
        return;
    }
    for matrix in 0..p.batch {
        let (c, offset) = place(matrix);
        let params = OuterParams {
            batch: 1,
            a_offset: p.a_offset + matrix * p.a_batch,
            b_offset: p.b_offset + matrix * p.b_batch,
            map_offset: p.map_offset + matrix * p.map_batch,
            c_offset: offset,
            ..*p
        };
        outer_rows(plan, [a, b, map, c], &params);
    }
}

/// The same in as many dispatches as their loops need; vectors where they are aligned.
fn outer_rows(plan: &mut PlanBuilder, bindings: [BufferId; 4], params: &OuterParams) {
    let p = params;
    let tile = schedule::outer_tile(plan.device(), p.m);
    let aligned = [p.n, p.b_offset, p.b_row, p.b_batch].iter().all(|words| words % 4 == 0);
    let vector =
        aligned && (tile.rows == 1 || [p.m, p.a_offset, p.a_row, p.a_batch].iter().all(|words| words % 4 == 0));
    let tile = if vector { tile } else { Tile { spread: 0, ..tile } };
    let variant = Variant::new(Of::Outer { vector }, tile, plan.device().panel());
    let most = plan.device().plan_limits().trips.saturating_sub(tile.rows.into());
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut start = 0;
    while start < params.to {
        let to = params.to.min(start.saturating_add(most));
        let accumulate = params.accumulate || start > 0;
        plan.draft.dispatch(variant.clone(), bindings.to_vec(), &OuterParams { start, to, accumulate, ..*p }.words());
        start = to;
    }
}

/// Σ over rows of some columns, from the first one on so many, as the product with a one; `of` tells rows and target.
pub(crate) fn sum_rows(
    plan: &mut PlanBuilder,
    [rows, map]: [BufferId; 2],
    target: (&Parts, usize),
    (column, width): (usize, usize),
    of: &OuterParams,
) {
    let one = plan.constant("one", &[1.0_f32.to_bits()]);
    let params = OuterParams {
        m: 1,
        n: width,
        a_offset: 0,
        a_row: 0,
        a_batch: 0,
        b_offset: column,
        b_row: of.a_row,
        b_batch: of.a_batch,
        c_row: width,
        mapped: 0,
        ..*of
    };
    outer(plan, [one, rows, map], target, &params);
}
