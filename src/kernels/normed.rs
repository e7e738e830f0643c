//! What `norm_step` and `norm_step_backward` have in common: their parameters, and what their dispatches reach.

use super::kernel::Kernel;
use super::params::params_of_rows;
use super::table::Maxima;
use super::variant::Variant;
use super::words::{MAP, StepRows, packed_vectors, u};

params_of_rows! {
    /// A step with layer norms, and backwards.
    NormParams {
        running, rank, h_stride, c_stride, d_stride, y_stride, y_offset, source, normed, scales, units, biases,
        gates_gain, units_gain,
    }
}

/// Words that are reached in the bindings, which are gradients of these backwards, and what they are made of.
#[derive(Default)]
pub(super) struct Reach {
    pub x: u64,
    pub gains: u64,
    pub map: u64,
    pub state_h: u64,
    pub state_c: u64,
    pub y: u64,
    /// Of the gradients that are summed for γ and β.
    pub sums: u64,
    /// Rows of the products, each as long as all gates forwards and as the units backwards.
    pub ranks: u64,
    pub gates: u64,
    pub units: u64,
}

/// What a dispatch reaches in its bindings.
pub(super) fn reach(variant: &Variant, p: &NormParams, maxima: Maxima<'_>) -> Reach {
    let (Some(norm), [phase]) = (variant.norm(), variant.phases()) else { return Reach::default() };
    let backward = variant.kernel() == Kernel::NormStepBackward;
    let rows = StepRows::new(true, [p.offsets, p.chunk, 1], maxima);
    let last = u(p.tracks).saturating_sub(1);
    let own = last * u(p.batch) + maxima(MAP, u(p.order), rows.running);
    let state = u(p.state_row) + own;
    let units = u(p.units);
    let gates = norm.groups.len() as u64 * units;
    let of_c = |words: u64| if norm.has_c { words } else { 0 };
    let columns = if variant.of.keep() || backward {
        let normed = u(p.normed) + 2 * gates + of_c(units);
        let fields = phase.kept.max(phase.fields) as u64 * units;
        normed.max(u(p.scales) + 5).max(u(p.source) + units).max(fields)
    } else {
        gates
    };
    let gates_gain = packed_vectors(2 + u(p.biases), gates, u(variant.reads.panel));
    let c_gain = of_c(packed_vectors(1 + u(p.biases.min(1)), units, u(variant.reads.panel)));
    let stride = u(p.gates_gain) + u(p.units_gain);
    let map = (u(p.offsets) + 3).max(u(p.chunk) + 1).max(u(p.order) + rows.running);
    let (y, y_map) = rows.output(&p.rows, [p.y_offset, p.y_stride], units, maxima);
    Reach {
        x: last * u(p.x_track) + rows.last_in_chunk() * u(p.x_stride) + columns,
        gains: (last * stride + gates_gain.max(u(p.gates_gain) + c_gain)) * u(variant.reads.panel),
        map: map.max(y_map),
        state_h: state * u(p.h_stride) + units,
        state_c: of_c(state * u(p.c_stride) + units),
        y,
        sums: own * u(p.d_stride) + 5 * gates + of_c(2 * units),
        ranks: last * u(p.batch) + rows.running,
        gates,
        units,
    }
}

/// Workgroups in x, y and z: one for each row.
pub(super) fn grid(_: &Variant, p: &NormParams) -> [u64; 3] {
    [1, u(p.running), u(p.tracks)]
}

/// Loop trips of an invocation: three sums over lanes, and a loop over units before and after.
pub(super) fn trips(variant: &Variant, p: &NormParams) -> u64 {
    let lanes = variant.tile.lanes;
    5 * u(p.units).div_ceil(u(lanes)) + 4 * u(lanes.ilog2())
}
