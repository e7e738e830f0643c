//! `own`: a kernel from outside of the library.

use super::params::params;
use super::table::no_loops as trips;
use super::table::no_products as flop;
use super::table::{Maxima, kernel};
use super::variant::Variant;
use super::words::u;

params! {
    /// Workgroups, the words of the values that are read and written, and whatever the kernel is told besides.
    OwnParams {
        groups_x, groups_y, groups_z, words_0, words_1, words_2, words_3, words_4, words_5, words_6, words_7,
        p0: u32, p1: u32, p2: u32, p3: u32, p4: u32, p5: u32, p6: u32, p7: u32,
    }
}

kernel! { own(OwnParams), [Read x0, Read x1, Read x2, Read x3, Read x4, Read x5, Write out0, Write out1] }

/// All of every value. Beyond these its shader is checked: nobody knows how far it reaches.
fn reach(_: &Variant, p: &OwnParams, _: Maxima<'_>) -> Reach {
    let [x0, x1, x2, x3, x4, x5, out0, out1] = p.words_of().map(u);
    Reach { x0, x1, x2, x3, x4, x5, out0, out1 }
}

impl OwnParams {
    /// The words of each value, 0 where there is none.
    pub(crate) const fn words_of(&self) -> [usize; 8] {
        let Self { words_0, words_1, words_2, words_3, words_4, words_5, words_6, words_7, .. } = *self;
        [words_0, words_1, words_2, words_3, words_4, words_5, words_6, words_7]
    }
}

/// Workgroups in x, y and z, before any are spread over two axes.
fn grid(_: &Variant, p: &OwnParams) -> [u64; 3] {
    [p.groups_x, p.groups_y, p.groups_z].map(u)
}
