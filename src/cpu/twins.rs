//! Every kernel's twin.

use super::call::Call;
use crate::kernels::{Kernel, for_each_kernel};

macro_rules! twins {
    ($($(#[$doc:meta])* $kernel:ident $name:ident)*) => {
        /// A kernel's twin.
        pub(crate) fn twin(kernel: Kernel) -> fn(&mut Call<'_>) {
            match kernel {
                $(Kernel::$kernel => super::$name::run,)*
            }
        }
    };
}

for_each_kernel!(twins);
