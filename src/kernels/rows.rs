//! A kernel's row of the table.

use super::kernel::{Kernel, for_each_kernel};
use super::table::Row;
use super::{
    adam, apply, argmax, cross_entropy, dropout, element_loss, gather, gemm, grid, guard, links, masks, norm_step,
    norm_step_backward, outer, pack, reduce, scan, scan_backward, scatter_add, sequence, sequence_backward, settle,
    sgd, step, step_backward, wave,
};

macro_rules! rows {
    ($($(#[$doc:meta])* $kernel:ident $name:ident)*) => {
        impl Kernel {
            /// This kernel's row of the table.
            pub fn row(self) -> &'static Row {
                match self {
                    $(Self::$kernel => &$name::ROW,)*
                }
            }
        }
    };
}

for_each_kernel!(rows);
