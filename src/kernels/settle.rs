//! `settle`: what follows a `grid`, its last states or its work once more.

use super::params::params;
use super::table::no_loops as trips;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::{flat, u};

params! {
    /// What follows a `grid`.
    SettleParams { rows, state_row, h_width, exchange_width, h_at, aux_stride, aux_at, map_words, row_lanes }
}

kernel! { settle(SettleParams), [Read exchange, Read map, Write guarded, Write h_out, Write aux] }

fn reach(_: &Variant, p: &SettleParams, _: Maxima<'_>) -> Reach {
    let states = u(p.state_row) + u(p.rows);
    let (h, held) = (u(p.h_at) + u(p.rows) * u(p.exchange_width), u(p.aux_at) + u(p.rows) * u(p.aux_stride));
    Reach {
        exchange: h.max(held),
        map: u(p.map_words),
        guarded: u(p.map_words),
        h_out: states * u(p.h_width),
        aux: states * u(p.aux_stride),
    }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &SettleParams) -> [u64; 3] {
    flat(variant, (u(p.rows) * u(p.exchange_width.max(p.aux_stride))).max(u(p.map_words)), p.row_lanes)
}
