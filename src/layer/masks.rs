//! What training of a layer draws: masks of zoneout and of recurrent dropout, for all rows of some steps before these run.

use super::dropout::{drop_numbers, threshold};
use super::forward_layer::Buffers;
use super::pack::row_lanes;
use super::pass::Pass;
use super::places::{At, Draw};
use crate::kernels::{FLAT, Kernel, MasksParams, Variant};
use crate::plan::{BufferId, PlanBuilder};

/// The masks of some steps into the rows of the reserve, whose first row is that of the first step.
///
/// Zoneout counts units as the layer's output has them, [T, N, D·H] or [N, T, D·H]: what is drawn for a step of a sequence
/// depends on no other sequence's length. Recurrent dropout counts them as the layer's states do, [D, N, H padded], so that
/// [`drop_states`] draws the same.
pub(super) fn draw(plan: &mut PlanBuilder, pass: &Pass<'_>, buffers: &Buffers, from: usize, to: usize) {
    let Some(Draw { seed, stream }) = buffers.masks else { return };
    let config = pass.config();
    let (units, width) = (config.state_size(), pass.h_width());
    let rows = pass.rows.offset(to) - pass.rows.offset(from);
    let options = config.options;
    let shared = MasksParams {
        rows,
        units,
        // D·S.
        tracks: config.tracks(),
        out_offset: pass.columns.source + units,
        out_row: buffers.stride,
        out_track: buffers.rows * buffers.stride,
        map_track: pass.rows.rows,
        first: pass.rows.offsets + from,
        end: pass.rows.offsets + to,
        stream,
        row_lanes: row_lanes(rows * units),
        ..Default::default()
    };
    let params = match (options.noise.zoneout, options.noise.recurrent_dropout) {
        (Some(probabilities), _) => {
            let [h, c] = probabilities.map(|z| threshold(1.0 - z.get()));
            MasksParams {
                divisor: 1,
                modulus: u32::MAX,
                counter_row: config.output_size() as u32,
                counter_track: units as u32,
                threshold: h,
                weight: 1.0_f32,
                threshold_2: c,
                ..shared
            }
        }
        (None, dropped) => {
            let p = dropped.map_or(0.0, |p| p.get());
            // A row of the output is that of a step of a sequence, or the other way round.
            let (divisor, modulus) = if config.batch_first { (pass.steps, u32::MAX as usize) } else { (1, pass.batch) };
            MasksParams {
                divisor: divisor as u32,
                modulus: modulus as u32,
                counter_row: width as u32,
                counter_track: (pass.batch * width) as u32,
                threshold: threshold(p),
                weight: ((1.0 / (1.0 - p)) as f32),
                ..shared
            }
        }
    };
    let variant = Variant::plain(Kernel::Masks, FLAT, plan.device().panel());
    plan.draft.dispatch(variant, vec![seed, pass.map, buffers.x], &params.words());
}

/// A layer's states, or numbers that lie as they do, by their masks of recurrent dropout.
pub(super) fn drop_states(plan: &mut PlanBuilder, pass: &Pass<'_>, layer: usize, draw: Option<Draw>, states: BufferId) {
    if let (Some(draw), Some(p)) = (draw, pass.config().options.noise.recurrent_dropout) {
        let count = pass.layer_states() * pass.h_width();
        drop_numbers(plan, draw, At { buffer: states, offset: layer * count }, count, p.get());
    }
}
