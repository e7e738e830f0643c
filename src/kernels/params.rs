//! The kernels' parameters, word for word as `struct Params` in their shaders; a test compares the two by reflection.

macro_rules! params {
    ($($(#[$doc:meta])* $name:ident { $($field:ident),* $(,)? })*) => {$(
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
        pub(crate) struct $name { $(pub $field: u32,)* }

        impl $name {
            /// Names in the order of their words.
            pub const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];

            /// The words as a dispatch carries them.
            pub fn words(&self) -> Vec<u32> {
                bytemuck::cast_slice(std::slice::from_ref(self)).to_vec()
            }
        }
    )*};
}

pub(super) use params;

/// The sizes of a phase among the parameters.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PhaseParams {
    pub units: usize,
    /// Vectors of the packed weights' columns.
    pub panels: usize,
    /// Its first vector among the weights.
    pub weights: usize,
    /// Vectors of a direction.
    pub weights_direction: usize,
    /// Its first column in a row of the gates: `gate` forwards, `fields` backwards.
    pub column: usize,
}

macro_rules! of_phases {
    ($name:ident, $first:ident, $second:ident) => {
        impl $name {
            /// Those of the phases, all else 0.
            pub fn of_phases([first, second]: [crate::kernels::params::PhaseParams; 2]) -> Self {
                Self {
                    units_0: first.units as u32,
                    panels_0: first.panels as u32,
                    weights_0: first.weights as u32,
                    weights_direction_0: first.weights_direction as u32,
                    $first: first.column as u32,
                    units_1: second.units as u32,
                    panels_1: second.panels as u32,
                    weights_1: second.weights as u32,
                    weights_direction_1: second.weights_direction as u32,
                    $second: second.column as u32,
                    ..Self::default()
                }
            }
        }
    };
}

pub(super) use of_phases;
