//! `masks`: what zoneout and recurrent dropout draw for a layer.

use super::params::params;
use super::table::no_loops as trips;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::{flat, u};

params! {
    /// out[row, unit] = what is drawn for it.
    MasksParams {
        rows, units, tracks, out_offset, out_row, out_track, map_track, first, end, divisor: u32, modulus: u32,
        counter_row: u32, counter_track: u32, threshold: u32, weight: f32, threshold_2: u32, stream: u32, row_lanes,
    }
}

kernel! { masks(MasksParams), [Read seed, Read map, Write out] }

fn reach(_: &Variant, p: &MasksParams, maxima: Maxima<'_>) -> Reach {
    let (map_of, last) = (1, u(p.tracks).saturating_sub(1));
    let first = maxima(map_of, u(p.first), 1);
    let last_row = u(p.rows).saturating_sub(1) * u(p.out_row) + u(p.units);
    Reach {
        seed: 2,
        map: (u(p.first.max(p.end)) + 1).max(last * u(p.map_track) + first + u(p.rows)),
        out: u(p.out_offset) + last * u(p.out_track) + last_row,
    }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &MasksParams) -> [u64; 3] {
    let [across, down, _] = flat(variant, u(p.rows) * u(p.units), p.row_lanes);
    [across, down, u(p.tracks)]
}
