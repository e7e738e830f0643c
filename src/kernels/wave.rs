//! `wave`: a step of each of some layers, each a step behind the one below.

use super::of::{Of, Sums};
use super::recurrence::{self, RecurrenceParams};
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::{MAP, u};

kernel! {
    wave(RecurrenceParams),
    [
        Write x, Matrix weights, Read map, Rows h_in, Write h_out, Write aux, Write y, Write h_final,
    ], tiled true, wraps Rows
}

fn reach(variant: &Variant, p: &RecurrenceParams, maxima: Maxima<'_>) -> Reach {
    // Each layer is as a step of one track, with weights, states and a step of its own.
    let of = variant.of.form().map_or(variant.of, |form| Of::Step {
        form,
        phase: 0,
        keep: false,
        sums: Sums::Split(variant.of.split()),
    });
    let step = Variant { of, ..variant.clone() };
    let mut most = Reach::default();
    for behind in 0..p.tracks {
        let of_layer = p.of_layer(behind);
        let reach = recurrence::reach(&step, &of_layer, maxima);
        // Only the lowest one reads rows of the input part.
        most.x = most.x.max(if of_layer.layer > 0 { 0 } else { reach.x });
        most.weights = most.weights.max(reach.weights);
        most.map = most.map.max(reach.map);
        most.h_in = most.h_in.max(reach.h_in);
        most.h_out = most.h_out.max(reach.h_out);
        most.aux = most.aux.max(reach.aux);
        most.y = most.y.max(reach.y);
        most.h_final = most.h_final.max(reach.h_final);
    }
    most
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &RecurrenceParams) -> [u64; 3] {
    recurrence::step_grid(variant, p)
}

fn trips(variant: &Variant, p: &RecurrenceParams) -> u64 {
    2 * p.phases()[0].panels as u64 + u(variant.tile.rows)
}

fn flop(variant: &Variant, p: &RecurrenceParams, maxima: Maxima<'_>) -> u64 {
    let k = u(p.units_0);
    let rows = |behind: usize| {
        let at = u(p.offsets.saturating_sub(behind));
        maxima(MAP, at + 1, 1).saturating_sub(maxima(MAP, at, 1))
    };
    // The lowest layer multiplies R only.
    let products = |behind: usize| if p.layer + behind == 0 { 1 } else { 2 };
    let layer = |behind: usize| 2 * variant.phases()[0].gates as u64 * k * k * products(behind) * rows(behind);
    (0..p.tracks).map(layer).sum()
}
