//! The steps of cells with layer norms, forward and backward: a product with R, then the rest of the step by rows.

use super::forward_layer::{GateRows, LayerForward};
use super::outer::sum_rows;
use super::pack::packed;
use super::pass::Pass;
use super::places::{Steps, Turns};
use super::product::{Operands, Right, gemm};
use super::scan;
use crate::device::tuning;
use crate::error::Result;
use crate::kernels::{FLAT, GemmParams, NormParams, Of, OuterParams, Tile, Variant};
use crate::plan::{BufferId, Parts, PlanBuilder};
use crate::weights::Offsets;

/// Lanes of a row: a power of two, no more than there are units.
fn tile(plan: &PlanBuilder, units: usize) -> Tile {
    let allowed = u32::try_from(plan.device().plan_limits().invocations).unwrap_or(u32::MAX);
    let most = tuning(plan.device()).norm_lanes.min(allowed).max(1);
    let units = u32::try_from(units).unwrap_or(u32::MAX).checked_next_power_of_two().unwrap_or(u32::MAX);
    Tile { lanes: 1 << most.min(units).ilog2(), ..FLAT }
}

fn variant(plan: &PlanBuilder, pass: &Pass<'_>, of: Of) -> Variant {
    Variant::new(of, tile(plan, pass.config().hidden), plan.device().panel())
}

/// Words of a row of gradients: those of R·h, then those of γ and β.
fn gradient_row(pass: &Pass<'_>) -> usize {
    let config = pass.config();
    (5 * pass.gates() + 2 * config.cell_state_size()).next_multiple_of(4)
}

fn params(pass: &Pass<'_>, rows: GateRows) -> NormParams {
    let config = pass.config();
    let GateRows { layer, rows, stride, y } = rows;
    let vectors = |rows: usize, columns: usize| packed(pass.rnn.device(), rows, columns).vectors();
    let biases = config.biases();
    NormParams {
        rows: pass.row_params(layer, rows, stride),
        h_stride: pass.h_width(),
        c_stride: config.cell_state_size(),
        d_stride: gradient_row(pass),
        y_stride: if y.is_some() { config.output_size() } else { 0 },
        y_offset: y.unwrap_or(0),
        source: pass.columns.source,
        normed: pass.columns.normed,
        scales: pass.columns.scales,
        units: config.hidden,
        biases,
        gates_gain: vectors(2 + biases, pass.gates()),
        units_gain: if config.cell_state_size() > 0 { vectors(1 + biases.min(1), config.hidden) } else { 0 },
        ..Default::default()
    }
}

/// A step `at` of the chunk that begins with step `chunk`.
fn dispatch(
    plan: &mut PlanBuilder,
    pass: &Pass<'_>,
    (variant, bindings): (&Variant, &[BufferId]),
    params: &NormParams,
    [chunk, at]: [usize; 2],
) {
    for ranks in scan::ranks(plan, pass.rows.running(at)) {
        let params = NormParams {
            rows: params.rows.at(pass.rows.offsets + at, pass.rows.offsets + chunk),
            rank: ranks.start,
            running: ranks.end - ranks.start,
            ..*params
        };
        plan.draft.dispatch(variant.clone(), bindings.to_vec(), &params.words());
    }
}

/// Some steps; the state stays in the first of the two.
pub(super) fn emit_normed(layer: &LayerForward<'_>, plan: &mut PlanBuilder, steps: &Steps, turns: Turns) -> Turns {
    let (pass, buffers) = (layer.pass, layer.buffers);
    let rows = layer.gate_rows();
    let h = turns.now;
    let gates = pass.gates();
    let units = pass.config().hidden;
    let products = plan.workspace("products with R", pass.layer_states() * gates);
    let gains = pass.rnn.gains(rows.layer).map_or(products, |gains| gains.buffer(plan));
    let weights = pass.rnn.recurrent_weights(rows.layer);
    let product = GemmParams {
        n: gates,
        k: units,
        batch: pass.config().tracks(),
        a_offset: rows.layer * pass.layer_states() * pass.h_width(),
        a_row: pass.h_width(),
        a_column: 1,
        a_batch: pass.batch * pass.h_width(),
        b_offset: weights.first,
        b_batch: packed(pass.rnn.device(), units, gates).vectors(),
        c_row: gates,
        c_batch: pass.batch * gates,
        ..ranked(pass)
    };
    let variant = variant(plan, pass, Of::NormStep { form: pass.config().form(), keep: buffers.keep });
    let bindings = [buffers.x, gains, pass.map, products, h, buffers.aux, layer.y, buffers.h_final];
    let params = params(pass, rows);
    for at in steps.range.clone() {
        let product = GemmParams { m: pass.rows.running(at), ..product };
        gemm(
            plan,
            Operands { a: h, b: Right::Packed(&weights.matrices), map: pass.map, c: products, narrow: false },
            &product,
        );
        dispatch(plan, pass, (&variant, &bindings), &params, [steps.chunk, at]);
    }
    turns
}

/// What a layer's steps backwards work on.
pub(super) struct Gradients {
    /// [D·S·N, 5·G·H + 2·C], for c of width C: gradients of R·h, then of γ and β.
    pub d: BufferId,
    /// [L·D·S·N, H], rows of whole vectors: gradient of h.
    pub dh: BufferId,
    /// [L·D·S·N, width of c]: gradient of c.
    pub dc: BufferId,
    /// [T·N, D·S·H]: gradient of y.
    pub dy: BufferId,
}

/// Memory for a layer's rows of gradients.
pub(super) fn gradient_rows(plan: &mut PlanBuilder, pass: &Pass<'_>) -> (BufferId, usize) {
    let words = pass.layer_states() * gradient_row(pass);
    (plan.workspace("gradients of R·h and norms", words), words)
}

/// The gradient of the initial h through the products with R of the first step.
pub(super) fn emit_initial_gradient(
    plan: &mut PlanBuilder,
    pass: &Pass<'_>,
    layer: usize,
    [d, dh]: [BufferId; 2],
) -> Result<()> {
    let params = GemmParams {
        m: pass.batch,
        c_offset: layer * pass.layer_states() * pass.h_width(),
        c_row: pass.h_width(),
        c_batch: pass.batch * pass.h_width(),
        accumulate: true,
        ..product_backward(pass)
    };
    let weights = &pass.rnn.backward_weights(layer)?[1];
    gemm(plan, Operands { a: d, b: Right::Packed(weights), map: pass.map, c: dh, narrow: false }, &params);
    Ok(())
}

/// The product of gradients of R·h with R.
fn product_backward(pass: &Pass<'_>) -> GemmParams {
    let units = pass.config().hidden;
    GemmParams {
        n: units,
        k: pass.gates(),
        batch: pass.config().tracks(),
        a_row: gradient_row(pass),
        a_column: 1,
        a_batch: pass.batch * gradient_row(pass),
        b_batch: packed(pass.rnn.device(), pass.gates(), units).vectors(),
        ..Default::default()
    }
}

/// A product's rows of states in the order of ranks: those that still run come first.
fn ranked(pass: &Pass<'_>) -> GemmParams {
    if pass.rows.is_ranked() {
        GemmParams::default()
    } else {
        GemmParams { mapped: 1, map_offset: pass.rows.order, ..Default::default() }
    }
}

/// Some steps in reverse, as a part of which the reserve's rows begin.
pub(super) fn emit_normed_backward(
    plan: &mut PlanBuilder,
    pass: &Pass<'_>,
    steps: &Steps,
    (reserve, rows): (BufferId, GateRows),
    of: &Gradients,
) -> Result<()> {
    let units = pass.config().hidden;
    let products = plan.workspace("products with gradients of R·h", pass.layer_states() * units);
    let gains = pass.rnn.gains(rows.layer).map_or(products, |gains| gains.buffer(plan));
    let variant = variant(plan, pass, Of::NormStepBackward { form: pass.config().form() });
    let bindings = [reserve, gains, pass.map, products, of.d, of.dh, of.dc, of.dy];
    let params = params(pass, rows);
    let weights = &pass.rnn.backward_weights(rows.layer)?[1];
    let GemmParams { mapped, map_offset, .. } = ranked(pass);
    let c_batch = pass.batch * units;
    let product = GemmParams { c_row: units, c_batch, mapped, map_offset, ..product_backward(pass) };
    for at in steps.range.clone().rev() {
        let product = GemmParams { m: pass.rows.running(at), ..product };
        gemm(
            plan,
            Operands { a: of.d, b: Right::Packed(weights), map: pass.map, c: products, narrow: false },
            &product,
        );
        dispatch(plan, pass, (&variant, &bindings), &params, [steps.chunk, at]);
    }
    Ok(())
}

/// Adds the gradients of γ and β, which each sequence has the sums of, to those of a layer's weights.
pub(super) fn emit_gain_gradients(
    plan: &mut PlanBuilder,
    pass: &Pass<'_>,
    d: BufferId,
    target: &Parts,
    offsets: &Offsets,
) {
    let [w, r, c, b_c] = offsets.norm;
    let (gates, row) = (pass.gates(), gradient_row(pass));
    let rows = OuterParams {
        batch: pass.config().tracks(),
        a_row: row,
        a_batch: pass.batch * row,
        c_batch: offsets.words,
        to: pass.batch,
        accumulate: true,
        ..Default::default()
    };
    let units = pass.config().hidden;
    let sums = [(w, gates), (offsets.b_w, gates), (r, gates), (offsets.b_r, gates), (c, units), (b_c, units)];
    let mut column = gates;
    for (to, width) in sums {
        if let Some(to) = to {
            sum_rows(plan, [d, pass.map], (target, to), (column, width), &rows);
        }
        column += width;
    }
}
