//! A stack of recurrent layers as commands of a plan.

use super::call::{Output, RnnCall, call_sizes, output_shape};
use super::copies::copy_rows;
use super::forward_layer::{Buffers, LayerForward, input_part_row};
use super::grid::emit_grid;
use super::masks;
use super::norm::emit_normed;
use super::pass::{Pass, check_state, last_states};
use super::places::{At, Steps};
use super::product::fits_terms;
use super::repeats::emit_repeats;
use super::reserve::Reserve;
use super::rnn::Rnn;
use super::scan::emit_scan;
use super::segment_states::{States, emit_begin, emit_end};
use super::segments::StateMap;
use super::sequence::emit_sequence;
use super::state::DeviceState;
use super::step::emit_steps;
use super::strategy::Strategy;
use super::wave::emit_wavefront;
use crate::config::Precision;
use crate::error::{Error, Result};
use crate::kernels::GatherParams;
use crate::plan::{BufferId, PlanBuilder, Value};
use std::ops::Range;

/// Appends the layer to a plan: first what can't be in a compute pass, then for each layer the input part of its gates
/// and its steps, chunk by chunk. With a reserve, what the backward pass needs goes there.
pub(crate) fn emit_forward(
    plan: &mut PlanBuilder,
    rnn: &Rnn,
    x: &Value,
    state: &DeviceState,
    call: &RnnCall,
    out: &Value,
    reserve: Option<&Reserve>,
) -> Result<()> {
    let config = rnn.config();
    let (steps, batch) = call_sizes(config, x.shape(), &call.lengths)?;
    let expected = output_shape(config, x.shape(), call)?;
    if out.shape() != expected {
        return Err(Error::shape("recurrent output", expected, out.shape()));
    }
    check_state(plan, "state", rnn, batch, state)?;
    if x.buffer == out.buffer {
        // The output is cleared and written while later steps of the input are still to be read.
        return Err(Error::Plan("a recurrent layer's input and output are one tensor".to_owned()));
    }
    if let Some(reserve) = reserve {
        reserve.check(rnn, steps, batch, call)?;
    }
    let every = reserve.map_or(call.keep_every, Reserve::keep_every);
    let pass = Pass::new(plan, rnn, [steps, batch], call, every)?;
    let narrow = reserve.is_none() && is_narrow(plan, &pass);
    let chunk = chunk_rows(plan, &pass, call.input_part_bytes, narrow);
    let in_reserve = |reserve: &Reserve| reserve.is_whole() || config.form().draws();
    let rows = if reserve.is_some_and(in_reserve) { 1 } else { chunk };
    let of_segments = pass.rows.states.is_some().then(|| States::workspace(plan, &pass, ""));
    let common = Buffers::new(plan, &pass, (state, of_segments), rows, narrow);
    let own = States::external(plan, "", state);
    let states = of_segments.unwrap_or(own);
    let words = pass.rows.places * config.output_size();
    match (&pass.rows.states, call.carry) {
        (Some(map), true) => begin_segments(plan, &pass, &common, map, own, states),
        (_, carry) => begin(plan, &pass, &common, carry, reserve),
    }
    let y = (call.output == Output::All).then_some(At::from(out));
    let repeated = pass.rows.repeats.as_ref().zip(y);
    let valid = repeated.map(|_| plan.workspace("outputs of valid steps", words));
    if pass.rows.padded && call.output == Output::All && valid.is_none() {
        plan.draft.clear(out.buffer, out.offset as u64, words as u64);
    }

    let y = valid.map(At::start_of).or(y);
    match (pass.strategies.forward, reserve) {
        // Nothing but empty sequences.
        _ if pass.rows.steps == 0 => {}
        (Strategy::Wavefront, None) => emit_wavefront(plan, &pass, &common, x.into(), y),
        // Layers side by side keep nothing.
        (Strategy::Wavefront, Some(_))
        | (Strategy::Step | Strategy::Sequence(_) | Strategy::Grid(_) | Strategy::Scan | Strategy::Normed, _) => {
            layer_by_layer(plan, &pass, &common, (x.into(), y), words, reserve);
        }
    }
    if let (Some((repeats, y)), Some(valid)) = (repeated, valid) {
        emit_repeats(plan, &pass, repeats, valid, y);
    }
    if let Some(map) = &pass.rows.states {
        emit_end(plan, &pass, map, states, own);
    }
    if call.output == Output::Last {
        gather_last(plan, &pass, own.h, out);
    }
    Ok(())
}

/// Whether the input part of the gates is in half precision: not for gradients, which are those of what was computed, where
/// steps that are computed again are as they were.
fn is_narrow(plan: &PlanBuilder, pass: &Pass<'_>) -> bool {
    let config = pass.config();
    // Norms compute with all of their bits. The CPU has no halves, nor can parts of a sum be added up in halves.
    !pass.strategies.forward.norms()
        && config.precision == Precision::Half
        && !plan.device().is_cpu()
        && (0..config.layers.min(2)).all(|layer| fits_terms(plan, config.input_of(layer)))
}

/// The states that the first steps read: the caller's, or zeros.
fn begin(plan: &mut PlanBuilder, pass: &Pass<'_>, common: &Buffers, carry: bool, reserve: Option<&Reserve>) {
    let config = pass.config();
    let words = (pass.states() * pass.h_width()) as u64;
    if carry {
        plan.draft.copy(common.h_final, common.h.now, words);
    } else {
        plan.draft.clear(common.h.now, 0, words);
        if pass.rows.has_empty {
            // Sequences without a step end as they begin.
            plan.draft.clear(common.h_final, 0, words);
        }
        if config.cell.has_cell_state() {
            plan.draft.clear(common.aux, 0, (pass.states() * config.cell_state_size()) as u64);
        }
    }
    if let (Some(reserve), true) = (reserve, config.options.noise.recurrent_dropout.is_some()) {
        // What R multiplies is masked; the states themselves go on without a mask.
        if !carry {
            plan.draft.clear(common.h_final, 0, words);
        }
        for layer in 0..config.layers {
            let draw = reserve.masks(plan, layer);
            masks::drop_states(plan, pass, layer, draw, common.h.now);
        }
    }
}

/// The states that the first steps of segments read; those without a step end with them.
fn begin_segments(
    plan: &mut PlanBuilder,
    pass: &Pass<'_>,
    common: &Buffers,
    map: &StateMap,
    own: States,
    states: States,
) {
    emit_begin(plan, pass, map, own, states);
    plan.draft.copy(common.h_final, common.h.now, (pass.states() * pass.h_width()) as u64);
}

/// Each layer's steps after those of the one below, whose output is so many words; the last one writes `out`, if that is
/// wanted.
fn layer_by_layer(
    plan: &mut PlanBuilder,
    pass: &Pass<'_>,
    common: &Buffers,
    (mut input, out): (At, Option<At>),
    words: usize,
    reserve: Option<&Reserve>,
) {
    let config = pass.config();
    for layer in 0..config.layers {
        let last = layer + 1 == config.layers;
        // Layers alternate between two buffers, unless what they read is still needed; the last one writes the caller's.
        let whole = |buffer| Some(At::start_of(buffer));
        let y = match reserve {
            _ if last => out,
            Some(reserve) => whole(reserve.output(plan, layer)),
            None => whole(plan.workspace(&format!("output of a layer, {}", layer % 2), words)),
        };
        let buffers = match reserve {
            // Masks lie in the reserve's rows: steps that will be computed again go through these too.
            Some(reserve) if reserve.is_whole() || config.form().draws() => Buffers {
                x: reserve.rows(plan, layer),
                stride: pass.columns.width,
                rows: reserve.chunk(),
                keep: true,
                masks: reserve.masks(plan, layer),
                narrow: false,
                ..*common
            },
            _ => *common,
        };
        let steps = LayerForward::new(pass, layer, plan, &buffers, input, y);
        emit_layer(&steps, plan, 0..pass.rows.steps, reserve);
        if let (Some(reserve), Some(y), false) = (reserve, y, last) {
            reserve.drop_numbers(plan, layer, y.buffer);
        }
        input = y.unwrap_or(input);
    }
}

/// Some steps of a layer, chunk by chunk, from the state in the first of the two that take turns; with a reserve that keeps
/// only every so many states, those too.
pub(super) fn emit_layer(
    layer: &LayerForward<'_>,
    plan: &mut PlanBuilder,
    steps: Range<usize>,
    reserve: Option<&Reserve>,
) {
    let (pass, buffers) = (layer.pass, layer.buffers);
    let strategy = if buffers.keep { pass.strategies.keeping } else { pass.strategies.forward };
    let mut h = buffers.h;
    let mut from = steps.start;
    while from < steps.end {
        let mut to = layer.chunk_end(from, steps.end);
        if let Some(reserve) = reserve.filter(|reserve| !reserve.is_whole()) {
            let every = reserve.every();
            if from.is_multiple_of(every) {
                let dropped = pass.config().options.noise.recurrent_dropout.is_some();
                let h = if dropped { buffers.h_final } else { h.now };
                reserve.save(plan, pass, [layer.layer, from / every], h, buffers.aux);
            }
            to = to.min((from / every + 1) * every);
        }
        layer.emit_input_part(plan, from, to);
        masks::draw(plan, pass, buffers, from, to);
        let chunk = Steps { chunk: from, range: from..to };
        h = match &strategy {
            Strategy::Scan => emit_scan(layer, plan, &chunk, h),
            Strategy::Normed => emit_normed(layer, plan, &chunk, h),
            Strategy::Sequence(form) => emit_sequence(layer, plan, &chunk, form, pass.map, h),
            Strategy::Grid(grid) => emit_grid(layer, plan, &chunk, grid, h),
            // Layers side by side are no steps of one layer: where these are asked for, they run step by step.
            Strategy::Step | Strategy::Wavefront => emit_steps(layer, plan, &chunk, h),
        };
        from = to;
    }
}

/// Rows of one chunk of the input part: as many whole steps as fit, at least one.
fn chunk_rows(plan: &PlanBuilder, pass: &Pass<'_>, most: usize, narrow: bool) -> usize {
    let limits = plan.device().plan_limits();
    let bytes = most.min(usize::try_from(limits.binding_bytes).unwrap_or(usize::MAX));
    let row = pass.config().tracks() * input_part_row(pass, narrow).1;
    // `gemm` takes at least one row a workgroup along its second axis.
    let most = (bytes / row).min(usize::try_from(limits.workgroups).unwrap_or(usize::MAX));
    (most / pass.batch * pass.batch).max(pass.batch).min(pass.rows.rows).max(1)
}

/// The final h of the last layer, from [D, N, ·] to [N, D·H].
fn gather_last(plan: &mut PlanBuilder, pass: &Pass<'_>, h_state: BufferId, out: &Value) {
    let config = pass.config();
    for (row, column) in last_states(config, pass.sequences) {
        let params = GatherParams {
            m: pass.sequences,
            columns: config.state_size(),
            table_rows: pass.sequences,
            table_offset: row * pass.h_width(),
            table_row: pass.h_width(),
            out_offset: out.offset + column,
            out_row: config.output_size(),
            ..Default::default()
        };
        copy_rows(plan, h_state, out.buffer, params);
    }
}
