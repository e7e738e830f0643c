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

params! {
    /// C[b, m, n] (+)= Σk A[b, row(m), k] · B[b, k, n] + bias[b, n].
    GemmParams {
        m, n, k, batch, a_offset, a_row, a_column, a_batch, b_offset, b_batch, c_offset, c_row, c_batch, mapped,
        map_offset, map_batch, accumulate,
    }
    /// Panels of `width` rows, then the bias.
    PackParams {
        rows, columns, pitch, width, source_offset, source_row, source_column, biased, bias_offset, packed_offset, row_lanes,
    }
    /// out[m, j] = table[index[m], j].
    GatherParams {
        m, columns, table_rows, table_offset, table_row, indexed, index_offset, out_offset, out_row, nan, row_lanes,
    }
    /// out[m] = argmax over columns.
    ArgmaxParams { m, columns, values_offset, values_row, out_offset }
    /// `step` and `sequence`.
    RecurrenceParams {
        batch, directions, state_row, x_row, x_direction, x_stride, map_row, map_direction, order, offsets, steps,
        running, next_running, h_in_stride, h_out_stride, final_stride, y_stride, y_offset, aux_stride,
        units_0, panels_0, weights_0, weights_direction_0, gate_0,
        units_1, panels_1, weights_1, weights_direction_1, gate_1,
    }
}

impl RecurrenceParams {
    /// Those of the phases, all else 0. For each phase: units, panels, first vector of its weights, vectors of a
    /// direction, first gate.
    pub fn of_phases(sizes: [[usize; 5]; 2]) -> Self {
        let [first, second] = sizes.map(|sizes| sizes.map(|size| size as u32));
        Self {
            units_0: first[0],
            panels_0: first[1],
            weights_0: first[2],
            weights_direction_0: first[3],
            gate_0: first[4],
            units_1: second[0],
            panels_1: second[1],
            weights_1: second[2],
            weights_direction_1: second[3],
            gate_1: second[4],
            ..Self::default()
        }
    }
}
