//! `links`: lists of rows with equal indices.

use super::params::params;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::{flat, u};

params! {
    /// Lists of equal indices.
    LinksParams { start, end, index_offset, row_lanes }
}

kernel! { links(LinksParams), [Read index, Write out] }

fn reach(_: &Variant, p: &LinksParams, _: Maxima<'_>) -> Reach {
    Reach { index: u(p.index_offset) + u(p.end), out: u(p.end) }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(variant: &Variant, p: &LinksParams) -> [u64; 3] {
    flat(variant, u(p.end).saturating_sub(u(p.start)), p.row_lanes)
}

fn trips(_: &Variant, p: &LinksParams) -> u64 {
    // One way or the other.
    u(p.end).saturating_sub(u(p.start))
}
