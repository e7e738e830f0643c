//! `own`: a kernel from outside of the library.

use super::params::params;
use super::table::no_loops as trips;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::u;

params! {
    /// Workgroups, and whatever the kernel is told besides.
    OwnParams { groups_x, groups_y, groups_z, p0: u32, p1: u32, p2: u32, p3: u32, p4: u32, p5: u32, p6: u32, p7: u32 }
}

kernel! { own(OwnParams), [Read x0, Read x1, Read x2, Read x3, Read x4, Read x5, Write out0, Write out1] }

/// Its shader has bounds checks: nobody knows how far it reaches.
fn reach(_: &Variant, _: &OwnParams, _: Maxima<'_>) -> Reach {
    Reach::default()
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(_: &Variant, p: &OwnParams) -> [u64; 3] {
    [p.groups_x, p.groups_y, p.groups_z].map(u)
}
