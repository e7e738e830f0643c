//! Gradients of matrices and biases: sums over rows of products, into the gradients of a block of parameters.

use super::schedule;
use crate::kernels::{OuterParams, Variant, outer_rows as rows_of};
use crate::parameters::Parameters;
use crate::plan::{BufferId, Parts, PlanBuilder};

/// A row of A whose products are sums of rows of B.
const ONE: &[u32] = &[1.0_f32.to_bits()];

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

/// The same of one buffer, in as many dispatches as their loops need.
pub(super) fn outer_rows(plan: &mut PlanBuilder, bindings: [BufferId; 4], p: &OuterParams) {
    let variant = schedule::outer(plan.device(), p);
    let most = rows_of(&variant, plan.device().plan_limits().trips);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut start = 0;
    while start < p.to {
        let to = p.to.min(start.saturating_add(most));
        let params = OuterParams { start, to, accumulate: p.accumulate || start > 0, ..*p };
        if variant.of.parts() > 1 {
            outer_parts(plan, variant.clone(), bindings, &params);
        } else {
            plan.draft.dispatch(variant.clone(), bindings.to_vec(), &params.words());
        }
        start = to;
    }
}

/// A dispatch whose rows are cut into parts, and one that adds up what these come to, in order: a sum over parts as it is over rows.
fn outer_parts(plan: &mut PlanBuilder, variant: Variant, [a, b, map, c]: [BufferId; 4], p: &OuterParams) {
    let parts = variant.of.parts() as usize;
    let words = p.m * p.n;
    // Few sizes, few buffers.
    let sums = plan.workspace("sums of parts of rows", (parts * p.batch * words).next_power_of_two());
    let of_parts = OuterParams { c_offset: 0, c_row: p.n, c_batch: words, accumulate: false, ..*p };
    plan.draft.dispatch(variant, vec![a, b, map, sums], &of_parts.words());
    let one = plan.constant("one", ONE);
    let params = OuterParams {
        m: 1,
        n: words,
        batch: p.batch,
        b_row: p.batch * words,
        b_batch: words,
        c_offset: p.c_offset,
        c_row: words,
        c_batch: p.c_batch,
        to: parts,
        accumulate: p.accumulate,
        ..OuterParams::default()
    };
    let variant = schedule::outer_whole(plan.device(), &params);
    plan.draft.dispatch(variant, vec![one, sums, map, c], &params.words());
}

/// Σ over rows of some columns, from the first one on so many, as the product with a one; `of` tells rows and target.
pub(crate) fn sum_rows(
    plan: &mut PlanBuilder,
    [rows, map]: [BufferId; 2],
    target: (&Parts, usize),
    (column, width): (usize, usize),
    of: &OuterParams,
) {
    let one = plan.constant("one", ONE);
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
