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

/// Which rows a recurrent dispatch works on: the parameters that such kernels begin with, as in `rows.wgsl`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
pub(crate) struct RowParams {
    pub batch: u32,
    /// Directions times heads; of a `wave`, layers.
    pub directions: u32,
    /// First row of the layer's states.
    pub state_row: u32,
    /// Words from one direction's rows to the next one's.
    pub x_direction: u32,
    /// Words from row to row.
    pub x_stride: u32,
    /// From one direction to the next in the map.
    pub map_direction: u32,
    /// Where the map has the sequence of each rank.
    pub order: u32,
    /// Where the map has the first row of the dispatch's first step.
    pub offsets: u32,
    /// Where the map has the first row that the memory of rows holds.
    pub chunk: u32,
}

impl RowParams {
    /// These of a step: where the map has its first row, and where the first row that the memory of rows holds.
    pub const fn at(self, offsets: usize, chunk: usize) -> Self {
        Self { offsets: offsets as u32, chunk: chunk as u32, ..self }
    }
}

/// Parameters that begin with [`RowParams`], whose fields can be read as if they were their own.
macro_rules! params_of_rows {
    ($(#[$doc:meta])* $name:ident { $($field:ident),* $(,)? }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, bytemuck::Pod, bytemuck::Zeroable)]
        pub(crate) struct $name {
            pub rows: crate::kernels::params::RowParams,
            $(pub $field: u32,)*
        }

        impl $name {
            /// Names in the order of their words.
            pub const FIELDS: &'static [&'static str] = &[
                "batch",
                "directions",
                "state_row",
                "x_direction",
                "x_stride",
                "map_direction",
                "order",
                "offsets",
                "chunk",
                $(stringify!($field)),*
            ];

            /// The words as a dispatch carries them.
            pub fn words(&self) -> Vec<u32> {
                bytemuck::cast_slice(std::slice::from_ref(self)).to_vec()
            }
        }

        impl std::ops::Deref for $name {
            type Target = crate::kernels::params::RowParams;

            fn deref(&self) -> &Self::Target {
                &self.rows
            }
        }
    };
}

pub(super) use params_of_rows;

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

            /// What the phases were given.
            pub fn phases(&self) -> [crate::kernels::params::PhaseParams; 2] {
                let phase = |words: [u32; 5]| {
                    let [units, panels, weights, weights_direction, column] = words.map(|word| word as usize);
                    crate::kernels::params::PhaseParams { units, panels, weights, weights_direction, column }
                };
                [
                    phase([self.units_0, self.panels_0, self.weights_0, self.weights_direction_0, self.$first]),
                    phase([self.units_1, self.panels_1, self.weights_1, self.weights_direction_1, self.$second]),
                ]
            }

            /// Units of the phases.
            pub fn units(&self) -> [u64; 2] {
                [self.units_0, self.units_1].map(u64::from)
            }
        }
    };
}

pub(super) use of_phases;
