//! A kernel's row of the table.

use super::kernel::{Kernel, for_each_kernel};
use super::table::Row;
use super::variant::Variant;

macro_rules! rows {
    ($($(#[$doc:meta])* $kernel:ident $name:ident)*) => {
        impl Kernel {
            /// This kernel's row of the table.
            pub fn row(self) -> &'static Row {
                match self {
                    $(Self::$kernel => &super::$name::ROW,)*
                }
            }
        }
    };
}

for_each_kernel!(rows);

impl Variant {
    /// The row of its kernel.
    pub fn row(&self) -> &'static Row {
        self.kernel().row()
    }
}
