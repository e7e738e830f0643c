//! Matrix products as dispatches: A times packed matrices.

use super::copies::copy_rows;
use super::pack::{PackedMatrices, row_lanes};
use super::schedule;
use crate::kernels::{
    By, FLAT, GatherParams, GemmParams, Kernel, Of, Reads, Tile, Variant, WINDOW, WINDOW_ALIGNMENT, trips,
};
use crate::plan::{BufferId, PlanBuilder};

/// The packed matrices of a product.
#[derive(Clone, Copy)]
pub(crate) enum Right<'a> {
    /// Weights.
    Packed(&'a PackedMatrices),
    /// What a plan packed into a buffer of its own, in single precision.
    Buffer(BufferId),
}

impl Right<'_> {
    fn buffer(self, plan: &mut PlanBuilder) -> BufferId {
        match self {
            Self::Packed(matrices) => matrices.buffer(plan),
            Self::Buffer(buffer) => buffer,
        }
    }

    fn is_texture(self) -> bool {
        matches!(self, Self::Packed(matrices) if matrices.is_texture())
    }

    fn is_half(self) -> bool {
        matches!(self, Self::Packed(matrices) if matrices.half)
    }
}

/// Where a product's rows come from and where they go.
#[derive(Clone, Copy)]
pub(crate) struct Operands<'a> {
    pub a: BufferId,
    pub b: Right<'a>,
    pub map: BufferId,
    pub c: BufferId,
    /// Whether C is in half precision.
    pub narrow: bool,
}

/// Terms of each part of a sum that is too long for one dispatch: whole vectors, and no more loop trips of any variant than
/// drivers allow.
const TERMS: usize = 1 << 14;

/// Appends a product. Rows of A are read four elements at a time where they allow it, and through windows of uniform
/// buffers where that is faster. Sums of more terms than one dispatch may loop over are added up part by part.
pub(crate) fn gemm(plan: &mut PlanBuilder, operands: Operands<'_>, p: &GemmParams) {
    let matrices = match operands.b {
        Right::Packed(matrices) if matrices.is_apart() => matrices,
        _ => return product(plan, operands, None, p),
    };
    for batch in 0..p.batch {
        let (b, b_offset) = matrices.at(plan, p.b_offset + batch * p.b_batch);
        let params = GemmParams {
            batch: 1,
            a_offset: p.a_offset + batch * p.a_batch,
            b_offset,
            c_offset: p.c_offset + batch * p.c_batch,
            map_offset: p.map_offset + batch * p.map_batch,
            ..*p
        };
        product(plan, operands, Some(b), &params);
    }
}

/// The same of matrices in one buffer: `b`, or that of the operands.
fn product(plan: &mut PlanBuilder, operands: Operands<'_>, b: Option<BufferId>, p: &GemmParams) {
    let vector = p.a_column == 1 && [p.k, p.a_row, p.a_offset, p.a_batch].iter().all(|words| words % 4 == 0);
    // A part of a map that is told only when the plan runs can't be cut up before.
    let cut = vector && p.first == p.end && schedule::windows_suit(plan.device(), p);
    if cut {
        by_windows(plan, operands, b, p);
    } else if let Some(variant) = whole(plan, operands, vector, false, p) {
        dispatch(plan, (operands, b), variant, 0, p);
    } else {
        by_terms(plan, operands, b, p);
    }
}

/// The variant of one dispatch for all terms; none where these are too many.
fn whole(plan: &PlanBuilder, operands: Operands<'_>, vector: bool, window: bool, p: &GemmParams) -> Option<Variant> {
    let staged = schedule::staged_tile(plan.device(), p).filter(|_| vector && !window);
    let most = plan.device().plan_limits().trips;
    // Staged loops are twice as long.
    let variants =
        staged.into_iter().map(Some).chain([None]).map(|staged| variant(plan, operands, vector, staged, window, p));
    variants.into_iter().find(|variant| trips(variant, &p.words()) <= most)
}

fn variant(
    plan: &PlanBuilder,
    operands: Operands<'_>,
    vector: bool,
    staged: Option<Tile>,
    window: bool,
    p: &GemmParams,
) -> Variant {
    let tile = staged.unwrap_or_else(|| schedule::gemm_tile(plan.device(), p.m));
    let by = if staged.is_some() { By::Staged } else { By::Lanes };
    let plain = Variant {
        of: Of::Gemm { by, vector, unbiased: false },
        tile: if vector { tile } else { Tile { spread: 0, ..tile } },
        reads: Reads {
            panel: plan.device().panel(),
            texture: operands.b.is_texture(),
            half: operands.b.is_half(),
            narrow: operands.narrow,
            uniform: window,
        },
        wrapped: 0,
    };
    let by_units = schedule::cooperative(plan.device(), &plain, [p.m, p.k]).filter(|_| vector && !window);
    by_units.unwrap_or(plain)
}

/// One dispatch; the rows begin at word `window` where they are read through a window.
fn dispatch(
    plan: &mut PlanBuilder,
    (operands, b): (Operands<'_>, Option<BufferId>),
    variant: Variant,
    window: u64,
    p: &GemmParams,
) {
    let b = b.unwrap_or_else(|| operands.b.buffer(plan));
    let bindings = vec![operands.a, b, operands.map, operands.c];
    plan.draft.dispatch_window(variant, bindings, window, &p.words());
}

/// A dispatch for each part of the terms, added to those before: the last one has the bias, which follows the last row of B.
fn by_terms(plan: &mut PlanBuilder, operands: Operands<'_>, b: Option<BufferId>, p: &GemmParams) {
    for first in (0..p.k).step_by(TERMS) {
        let k = TERMS.min(p.k - first);
        let part = GemmParams {
            k,
            a_offset: p.a_offset + first * p.a_column,
            b_offset: p.b_offset + first / 4 * p.n,
            accumulate: if first == 0 { p.accumulate } else { true },
            ..*p
        };
        let vector = p.a_column == 1 && [k, part.a_row, part.a_offset, part.a_batch].iter().all(|words| words % 4 == 0);
        let staged = schedule::staged_tile(plan.device(), &part).filter(|_| vector);
        let variant = variant(plan, operands, vector, staged, false, &part);
        let variant = if first + k < p.k { variant.unbiased() } else { variant };
        dispatch(plan, (operands, b), variant, 0, &part);
    }
}

/// Whether sums of so many terms are one dispatch's, whatever its variant.
pub(crate) fn fits_terms(plan: &PlanBuilder, terms: usize) -> bool {
    let rows = schedule::gemm_tile(plan.device(), usize::MAX >> 1).rows;
    (terms as u64).div_ceil(4) + u64::from(rows) <= plan.device().plan_limits().trips
}

/// A dispatch for each window of rows, of each matrix of the batch where each has rows of its own.
fn by_windows(plan: &mut PlanBuilder, operands: Operands<'_>, b: Option<BufferId>, p: &GemmParams) {
    let shared = p.batch == 1 || p.mapped != 1 && p.a_batch == 0;
    for batch in 0..if shared { 1 } else { p.batch } {
        let p = GemmParams {
            batch: if shared { p.batch } else { 1 },
            a_offset: p.a_offset + batch * p.a_batch,
            b_offset: p.b_offset + batch * p.b_batch,
            c_offset: p.c_offset + batch * p.c_batch,
            map_offset: p.map_offset + batch * p.map_batch,
            ..*p
        };
        let (a, p) = side_by_side(plan, operands, &p);
        let operands = Operands { a, ..operands };
        let tile = schedule::gemm_tile(plan.device(), p.m).rows as usize;
        let [window_words, alignment] = [WINDOW as usize, WINDOW_ALIGNMENT as usize];
        let aligned = p.k.is_multiple_of(alignment) && p.a_offset.is_multiple_of(alignment);
        let most = (if aligned { window_words } else { window_words - alignment }) / p.k;
        let rows = if most > tile { most / tile * tile } else { most };
        for row in (0..p.m).step_by(rows) {
            let start = p.a_offset + row * p.k;
            let window = start / alignment * alignment;
            let params = GemmParams {
                m: rows.min(p.m - row),
                a_offset: start - window,
                c_offset: p.c_offset + if p.mapped == 2 { 0 } else { row * p.c_row },
                map_offset: p.map_offset + if p.mapped == 2 { row } else { 0 },
                ..p
            };
            let variant = variant(plan, operands, true, None, true, &params);
            dispatch(plan, (operands, b), variant, window as u64, &params);
        }
    }
}

/// Rows of A that lie side by side in memory which windows can be bound to: A itself, or a copy.
fn side_by_side(
    plan: &mut PlanBuilder,
    Operands { a, map, .. }: Operands<'_>,
    p: &GemmParams,
) -> (BufferId, GemmParams) {
    if p.mapped != 1 && p.a_row == p.k && plan.is_windowed(a) {
        return (a, *p);
    }
    let copy = plan.workspace("rows of a product", p.m * p.k);
    let indexed = p.mapped == 1;
    let largest =
        if indexed { plan.draft.plan.maximum(map, p.map_offset as u64, p.m as u64) as usize } else { p.m - 1 };
    let params = GatherParams {
        m: p.m,
        columns: p.k,
        table_rows: largest + 1,
        table_offset: p.a_offset,
        table_row: p.a_row,
        indexed,
        index_offset: p.map_offset,
        out_row: p.k,
        nan: f32::NAN,
        row_lanes: row_lanes(p.m * p.k),
        ..Default::default()
    };
    if indexed {
        let variant = Variant::plain(Kernel::Gather, FLAT, plan.device().panel());
        plan.draft.dispatch(variant, vec![a, map, copy], &params.words());
    } else {
        copy_rows(plan, a, copy, params);
    }
    (copy, GemmParams { a_offset: 0, a_row: p.k, a_batch: 0, mapped: if indexed { 0 } else { p.mapped }, ..*p })
}
