//! The kernel table: a row for each kernel, with its shader, its bindings, its parameters, and what a dispatch of it asks for.

use super::kernel::Access;
use super::limits::MAX_BINDINGS;
use super::params::Params;
use super::tile::Wraps;
use super::variant::Variant;

/// The largest number in a part of a buffer of indices, given its binding, first word and count.
pub(crate) type Maxima<'a> = &'a dyn Fn(usize, u64, u64) -> u64;

/// One row of the table of kernels.
pub struct Row {
    /// The kernel's name, which is also that of its shader and of its twin.
    pub name: &'static str,
    /// The template of the shader.
    pub wgsl: &'static str,
    /// The bindings in order: their names in WGSL, and how the kernel uses them.
    pub bindings: &'static [(&'static str, Access)],
    /// The names of the parameters, each of which is one 32-bit word.
    pub params: &'static [&'static str],
    /// Whether it has register tiles of its own; else a lane takes an element.
    pub(crate) is_tiled: bool,
    /// How it takes more workgroups than one axis of a grid may have, if it can: others are spread over two axes in any
    /// case, or are few.
    pub(crate) wraps: Option<Wraps>,
    /// Words that a dispatch reaches in each of its bindings. Shaders run without bounds checks, so a plan is refused where
    /// one reaches beyond its buffer.
    pub(super) reach: fn(&Variant, &[u32], Maxima<'_>) -> [u64; MAX_BINDINGS],
    /// Workgroups in x, y and z, before any are spread over two axes.
    pub(super) grid: fn(&Variant, &[u32]) -> [u64; 3],
    /// Loop trips of one invocation, over all loops of the shader: some drivers stop silently after 65,535.
    pub(super) trips: fn(&Variant, &[u32]) -> u64,
    /// Floating-point operations of the products: two for each multiplication with its addition.
    pub(super) flop: fn(&Variant, &[u32], Maxima<'_>) -> u64,
    /// Words that a row of the state in workgroup memory has to hold.
    pub(super) state_width: fn(&Variant, &[u32]) -> u64,
}

/// Parameters out of a dispatch's words.
pub(crate) fn read<P: Params>(words: &[u32]) -> P {
    P::of_words(&mut words.iter().copied())
}

/// Of a shader without loops.
pub(super) fn no_loops<P>(_: &Variant, _: &P) -> u64 {
    0
}

/// Of a kernel that multiplies no matrices.
pub(super) fn no_products<P>(_: &Variant, _: &P, _: Maxima<'_>) -> u64 {
    0
}

/// Makes a kernel's row, of functions that its file has: `reach`, `grid`, `trips`, `flop`, and `state_width` where it keeps a
/// state in workgroup memory. `reach` gives a [`Reach`], which has a field for each binding.
macro_rules! kernel {
    (
        $name:ident($params:ty), [$($access:ident $binding:ident),* $(,)?] $(, tiled $tiled:literal)?
        $(, wraps $wraps:ident)? $(, state $state:ident)?
    ) => {
        /// Words that a dispatch reaches in each binding.
        #[derive(Default)]
        struct Reach {
            $($binding: u64,)*
        }

        pub(super) static ROW: crate::kernels::table::Row = {
            use crate::kernels::limits::MAX_BINDINGS;
            use crate::kernels::kernel::Access;
            use crate::kernels::table::{Row, read};
            const BINDINGS: &[(&str, Access)] = &[$((stringify!($binding), Access::$access)),*];
            Row {
                name: stringify!($name),
                wgsl: include_str!(concat!("../../shaders/", stringify!($name), ".wgsl")),
                bindings: BINDINGS,
                params: <$params as crate::kernels::params::Params>::FIELDS,
                is_tiled: false $(|| $tiled)?,
                wraps: [$(crate::kernels::tile::Wraps::$wraps)?].first().copied(),
                reach: |variant, words, maxima| {
                    let reach = reach(variant, &read::<$params>(words), maxima);
                    let mut words = [0; MAX_BINDINGS];
                    words[..BINDINGS.len()].copy_from_slice(&[$(reach.$binding),*]);
                    words
                },
                grid: |variant, words| grid(variant, &read::<$params>(words)),
                trips: |variant, words| trips(variant, &read::<$params>(words)),
                flop: |variant, words, maxima| flop(variant, &read::<$params>(words), maxima),
                state_width: {
                    const WIDTHS: &[fn(&Variant, &[u32]) -> u64] =
                        &[$(|variant, words| $state(variant, &read::<$params>(words)),)? |_, _| 0];
                    WIDTHS[0]
                },
            }
        };
    };
}

pub(super) use kernel;
