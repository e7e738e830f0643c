//! The steps of cells without R: scans, forward and backward.

use super::emit::{Layer, Pass};
use super::schedule;
use crate::kernels::{FLAT, Kernel, ScanBackwardParams, ScanParams, Variant};
use crate::plan::{BufferId, PlanBuilder};
use std::ops::Range;

/// Most words of what parts of a scan hand on.
const CARRY: usize = 1 << 22;

/// Steps of one dispatch that begins with step `at`: how many, of a part, and how many parts.
fn cut(plan: &PlanBuilder, pass: &Pass<'_>, steps: &Range<usize>, at: usize) -> [usize; 3] {
    let running = pass.rows.running(at) * pass.rnn.config().directions();
    // A diagonal makes steps wait for each other.
    let lanes = if pass.rnn.config().cell.has_diagonal() { usize::MAX } else { running * pass.rnn.config().hidden };
    // What parts hand on is a small matter beside the layer's own memory.
    let most = CARRY / (2 * pass.layer_states() * pass.rnn.config().hidden);
    let (part, most) = schedule::scan_parts(plan.device(), lanes, steps.end - at, most);
    let count = (part * most).min(steps.end - at);
    [count, part, count.div_ceil(part)]
}

/// What parts of a scan hand on to each other, for so many of them.
fn carry(plan: &mut PlanBuilder, pass: &Pass<'_>, parts: usize) -> BufferId {
    let words = if parts > 1 { (2 * parts + 1) * pass.layer_states() * pass.rnn.config().hidden } else { 1 };
    plan.workspace("what parts of a scan hand on", words)
}

/// Ranks of each dispatch: a workgroup takes units of one sequence, and an axis of a grid has only so many.
fn ranks(plan: &PlanBuilder, running: u32) -> impl Iterator<Item = Range<u32>> + use<> {
    let most = u32::try_from(plan.device().plan_limits().workgroups).unwrap_or(u32::MAX);
    (0..running).step_by(most as usize).map(move |first| first..running.min(first.saturating_add(most)))
}

/// Whole, or totals and then the parts.
fn phases(parts: usize) -> &'static [u32] {
    if parts > 1 { &[1, 2] } else { &[0] }
}

/// Some steps of the chunk that begins with step `chunk`, from state `h` of the two; gives the one they end in.
pub(super) fn emit(
    layer: &Layer<'_>,
    plan: &mut PlanBuilder,
    (chunk, steps): (usize, Range<usize>),
    mut h: usize,
) -> usize {
    let (pass, buffers) = (layer.pass, layer.buffers);
    let config = pass.rnn.config();
    let mut at = steps.start;
    while at < steps.end {
        let [count, part, parts] = cut(plan, pass, &steps, at);
        let shared = layer.params(chunk, at);
        let params = ScanParams {
            batch: shared.batch,
            directions: shared.directions,
            state_row: shared.state_row,
            x_direction: shared.x_direction,
            x_stride: shared.x_stride,
            map_direction: shared.map_direction,
            order: shared.order,
            offsets: shared.offsets,
            chunk: shared.chunk,
            steps: count as u32,
            running: shared.running,
            h_stride: shared.h_out_stride,
            c_stride: c_stride(pass),
            y_stride: shared.y_stride,
            y_offset: shared.y_offset,
            source: shared.source,
            units: config.hidden as u32,
            part: part as u32,
            parts: parts as u32,
            rank: 0,
        };
        let carry = carry(plan, pass, parts);
        for &phase in phases(parts) {
            let keep = buffers.keep && phase != 1;
            let variant = Variant {
                cell: Some(config.form()),
                phase,
                keep,
                narrow: buffers.narrow,
                ..Variant::new(Kernel::Scan, FLAT, plan.device().panel())
            };
            let [h_in, h_out] = [buffers.h[h], buffers.h[1 - h]];
            let second = if config.cell.has_diagonal() { layer.weights } else { buffers.aux };
            let bindings = vec![buffers.x, h_in, pass.map, h_out, second, layer.y, buffers.h_final, carry];
            for ranks in ranks(plan, params.running) {
                let params = ScanParams { rank: ranks.start, running: ranks.end - ranks.start, ..params };
                plan.draft.dispatch(variant.clone(), bindings.clone(), &params.words());
            }
        }
        h = 1 - h;
        at += count;
    }
    h
}

/// Words from one row of c to the next, or from one direction's diagonal of R to the next one's.
pub(super) fn c_stride(pass: &Pass<'_>) -> u32 {
    let hidden = pass.rnn.config().hidden;
    let diagonal = super::packed(pass.rnn.device(), 0, hidden).words();
    (if pass.rnn.config().cell.has_diagonal() { diagonal } else { hidden }) as u32
}

/// The buffers that a layer's steps backwards work on.
pub(super) struct Gradients {
    pub rows: BufferId,
    pub dh: BufferId,
    pub dc: BufferId,
    pub dy: BufferId,
}

/// Some steps in reverse; `shared` has what all dispatches of the layer share.
pub(super) fn emit_backward(
    pass: &Pass<'_>,
    plan: &mut PlanBuilder,
    steps: &Range<usize>,
    shared: &ScanBackwardParams,
    buffers: &Gradients,
) {
    // Cut as forwards, the last dispatch first.
    let mut starts = Vec::new();
    let mut at = steps.start;
    while at < steps.end {
        starts.push((at, cut(plan, pass, steps, at)));
        at += starts.last().map_or(1, |(_, cut)| cut[0]);
    }
    for (at, [count, part, parts]) in starts.into_iter().rev() {
        let params = ScanBackwardParams {
            offsets: (pass.rows.offsets + at) as u32,
            chunk: (pass.rows.offsets + steps.start) as u32,
            steps: count as u32,
            running: pass.rows.running(at) as u32,
            part: part as u32,
            parts: parts as u32,
            ..*shared
        };
        let carry = carry(plan, pass, parts);
        for &phase in phases(parts) {
            let cell = Some(pass.rnn.config().form());
            let variant = Variant { cell, phase, ..Variant::new(Kernel::ScanBackward, FLAT, plan.device().panel()) };
            let bindings = vec![buffers.rows, buffers.dh, pass.map, buffers.dc, buffers.dy, carry];
            for ranks in ranks(plan, params.running) {
                let params = ScanBackwardParams { rank: ranks.start, running: ranks.end - ranks.start, ..params };
                plan.draft.dispatch(variant.clone(), bindings.clone(), &params.words());
            }
        }
    }
}
