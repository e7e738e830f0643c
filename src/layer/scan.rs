//! The steps of cells without R: scans, forward and backward.

use super::forward_layer::{GateRows, LayerForward};
use super::pack::packed;
use super::pass::Pass;
use super::places::{Steps, Turns};
use super::schedule;
use crate::cells::Form;
use crate::kernels::{FLAT, Of, Part, Reads, ScanParams, Variant};
use crate::plan::{BufferId, PlanBuilder};
use std::ops::Range;

/// Most words of what parts of a scan hand on.
const CARRY: usize = 1 << 22;

/// Steps of one dispatch that begins with step `at`: how many, of a part, and how many parts.
fn cut(plan: &PlanBuilder, pass: &Pass<'_>, steps: &Range<usize>, at: usize) -> [usize; 3] {
    let running = pass.rows.running(at) * pass.config().tracks();
    // A diagonal makes steps wait for each other.
    let lanes = if pass.config().cell.has_diagonal() { usize::MAX } else { running * pass.config().hidden };
    // What parts hand on is a small matter beside the layer's own memory.
    let most = CARRY / (2 * pass.layer_states() * pass.config().hidden);
    let (part, most) = schedule::scan_parts(plan.device(), lanes, steps.end - at, most);
    let count = (part * most).min(steps.end - at);
    [count, part, count.div_ceil(part)]
}

/// What parts of a scan hand on to each other, for so many of them.
fn carry(plan: &mut PlanBuilder, pass: &Pass<'_>, parts: usize) -> BufferId {
    let words = if parts > 1 { (2 * parts + 1) * pass.layer_states() * pass.config().hidden } else { 1 };
    plan.workspace("what parts of a scan hand on", words)
}

/// Ranks of each dispatch: a workgroup takes units of one sequence, and an axis of a grid has only so many.
pub(super) fn ranks(plan: &PlanBuilder, running: usize) -> impl Iterator<Item = Range<usize>> + use<> {
    let most = usize::try_from(plan.device().plan_limits().workgroups).unwrap_or(usize::MAX);
    (0..running).step_by(most).map(move |first| first..running.min(first.saturating_add(most)))
}

/// Whole, or totals and then the steps.
fn parts_of_work(parts: usize) -> &'static [Part] {
    if parts > 1 { &[Part::Totals, Part::Steps] } else { &[Part::Whole] }
}

/// The buffers that `scan` or its backward half binds, in the order of its row of the table, and which of the two it is.
struct Work {
    /// The kernel that does a part of the work.
    of: fn(Form, bool, Part) -> Of,
    keep: bool,
    narrow: bool,
    bindings: Vec<BufferId>,
    rows: GateRows,
}

/// Steps of a chunk that begins with step `chunk`, cut so: from step `at` on.
fn dispatch(plan: &mut PlanBuilder, pass: &Pass<'_>, work: &Work, [chunk, at]: [usize; 2], cut: [usize; 3]) {
    let config = pass.config();
    let GateRows { layer, rows, stride, y } = work.rows;
    let [count, part, parts] = cut;
    let params = ScanParams {
        rows: pass.row_params(layer, rows, stride).at(pass.rows.offsets + at, pass.rows.offsets + chunk),
        steps: count,
        running: pass.rows.running(at),
        h_stride: pass.h_width(),
        c_stride: c_stride(pass),
        y_stride: if y.is_some() { config.output_size() } else { 0 },
        y_offset: y.unwrap_or(0),
        source: pass.columns.source,
        units: config.hidden,
        part,
        parts,
        rank: 0,
    };
    let bindings: Vec<_> = work.bindings.iter().copied().chain([carry(plan, pass, parts)]).collect();
    for &part in parts_of_work(parts) {
        // Totals keep nothing.
        let of = (work.of)(config.form(), work.keep && part != Part::Totals, part);
        let variant = Variant::new(of, FLAT, plan.device().panel());
        let variant = Variant { reads: Reads { narrow: work.narrow, ..variant.reads }, ..variant };
        for ranks in ranks(plan, params.running) {
            let params = ScanParams { rank: ranks.start, running: ranks.end - ranks.start, ..params };
            plan.draft.dispatch(variant.clone(), bindings.clone(), &params.words());
        }
    }
}

/// Words from one row of c to the next, or from one direction's diagonal of R to the next one's.
fn c_stride(pass: &Pass<'_>) -> usize {
    let hidden = pass.config().hidden;
    let diagonal = packed(pass.rnn.device(), 0, hidden).words();
    if pass.config().cell.has_diagonal() { diagonal } else { hidden }
}

/// Some steps, from the first state of the two; gives them as they stand after the last step.
pub(super) fn emit_scan(layer: &LayerForward<'_>, plan: &mut PlanBuilder, steps: &Steps, mut h: Turns) -> Turns {
    let (pass, buffers) = (layer.pass, layer.buffers);
    let second = if pass.config().cell.has_diagonal() { layer.weights } else { buffers.aux };
    let mut at = steps.range.start;
    while at < steps.range.end {
        let cut = cut(plan, pass, &steps.range, at);
        let work = Work {
            of: |form, keep, part| Of::Scan { form, keep, part },
            keep: buffers.keep,
            narrow: buffers.narrow,
            bindings: vec![buffers.x, h.now, pass.map, h.next, second, layer.y, buffers.h_final],
            rows: layer.gate_rows(),
        };
        dispatch(plan, pass, &work, [steps.chunk, at], cut);
        h = h.swapped();
        at += cut[0];
    }
    h
}

/// What a scan in reverse works on.
pub(super) struct Gradients {
    /// [D·S, rows of the reserve, columns]: the gates' sums at first, their gradients in the end.
    pub rows: BufferId,
    /// [L·D·S·N, H], rows of whole vectors: gradient of h.
    pub dh: BufferId,
    /// [L·D·S·N, H]: gradient of c; or the diagonal of R, packed.
    pub dc: BufferId,
    /// [T·N, D·S·H]: gradient of y.
    pub dy: BufferId,
}

/// Some steps in reverse.
pub(super) fn emit_scan_backward(
    plan: &mut PlanBuilder,
    pass: &Pass<'_>,
    steps: &Steps,
    rows: GateRows,
    of: &Gradients,
) {
    // Cut as forwards, the last dispatch first.
    let mut cuts = Vec::new();
    let mut at = steps.range.start;
    while at < steps.range.end {
        let cut = cut(plan, pass, &steps.range, at);
        cuts.push((at, cut));
        at += cut[0];
    }
    let work = Work {
        of: |form, _, part| Of::ScanBackward { form, part },
        keep: false,
        narrow: false,
        bindings: vec![of.rows, of.dh, pass.map, of.dc, of.dy],
        rows,
    };
    for (at, cut) in cuts.into_iter().rev() {
        dispatch(plan, pass, &work, [steps.chunk, at], cut);
    }
}
