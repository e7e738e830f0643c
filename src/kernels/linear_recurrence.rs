//! What `scan` and `scan_backward` have in common: their parameters, and what their dispatches reach.

use super::kernel::Kernel;
use super::of::Part;
use super::params::params_of_rows;
use super::table::Maxima;
use super::variant::Variant;
use super::words::{MAP, StepRows, u};
use crate::cells::Scan;

params_of_rows! {
    /// s' = a⊙s + b over steps, and backwards.
    ScanParams {
        steps, running, h_stride, c_stride, y_stride, y_offset, source, units, part, parts, rank,
    }
}

/// Words that are reached in the bindings, which are gradients of these backwards.
#[derive(Default)]
pub(super) struct Reach {
    pub x: u64,
    pub h: u64,
    pub map: u64,
    pub c: u64,
    pub y: u64,
    pub carry: u64,
}

/// What a dispatch reaches in its bindings.
pub(super) fn reach(variant: &Variant, p: &ScanParams, maxima: Maxima<'_>) -> Reach {
    let Some(cell) = variant.scan() else { return Reach::default() };
    let backward = variant.kernel() == Kernel::ScanBackward;
    let rows = StepRows::new(false, [p.offsets, p.chunk, p.steps], maxima);
    let last = u(p.tracks).saturating_sub(1);
    let states = u(p.state_row) + last * u(p.batch) + maxima(MAP, u(p.order), rows.running) + 1;
    let units = u(p.units);
    let columns = if variant.of.keep() || backward { u(p.source) + units } else { cell.gates as u64 * units };
    let x = last * u(p.x_track) + rows.last_in_chunk() * u(p.x_stride) + columns;
    let map = (u(p.offsets) + u(p.steps) + 2).max(u(p.chunk) + 1).max(u(p.order) + rows.running);
    let c = match cell {
        Scan { has_c: true, .. } => (states - 1) * u(p.c_stride) + units,
        Scan { diagonal: true, .. } => last * u(p.c_stride) + units * u(variant.reads.panel),
        _ => 0,
    };
    let (y, y_map) = rows.output(&p.rows, [p.y_offset, p.y_stride], units, maxima);
    Reach {
        x: if variant.reads.narrow { x.div_ceil(2) } else { x },
        h: (states - 1) * u(p.h_stride) + units,
        map: map.max(y_map),
        c,
        y,
        carry: carry_words(variant, p),
    }
}

/// Words of what parts of a scan hand on: two numbers a part, and the states that it begins with.
fn carry_words(variant: &Variant, p: &ScanParams) -> u64 {
    let lanes = u(p.tracks) * u(p.batch) * u(p.units);
    if variant.of.part() == Part::Whole { 0 } else { (2 * u(p.parts) + 1) * lanes }
}

/// Workgroups in x, y and z.
pub(super) fn grid(variant: &Variant, p: &ScanParams) -> [u64; 3] {
    [u(p.units).div_ceil(u(variant.tile.lanes)), u(p.running), u(p.tracks) * u(p.parts)]
}

/// Loop trips of an invocation.
pub(super) fn trips(_: &Variant, p: &ScanParams) -> u64 {
    u(p.part) + u(p.parts)
}
