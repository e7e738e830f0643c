//! Every kernel's twin.

use super::call::Call;
use super::{
    adam, apply, argmax, cross_entropy, dropout, element_loss, gather, gemm, grid, guard, links, masks, norm_step,
    norm_step_backward, outer, pack, reduce, scan, scan_backward, scatter_add, sequence, sequence_backward, settle,
    sgd, step, step_backward, wave,
};
use crate::kernels::{Kernel, for_each_kernel};

macro_rules! twins {
    ($($(#[$doc:meta])* $kernel:ident $name:ident)*) => {
        /// A kernel's twin.
        pub(crate) fn twin(kernel: Kernel) -> fn(&mut Call<'_>) {
            match kernel {
                $(Kernel::$kernel => $name::run,)*
            }
        }
    };
}

for_each_kernel!(twins);
