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
        map_offset, map_batch, accumulate, first, end,
    }
    /// Panels of `width` rows, then the bias.
    PackParams {
        rows, columns, pitch, width, source_offset, source_row, source_column, biased, bias_offset, packed_offset, row_lanes,
    }
    /// out[m, j] = table[index[m], j].
    GatherParams {
        m, columns, table_rows, table_offset, table_row, indexed, index_offset, out_offset, out_row, nan, accumulate,
        row_lanes,
    }
    /// s' = a⊙s + b over steps, and backwards.
    ScanParams {
        batch, directions, state_row, x_direction, x_stride, map_direction, order, offsets, chunk, steps, running, h_stride,
        c_stride, y_stride, y_offset, source, units, part, parts, rank,
    }
    /// A step with layer norms, and backwards.
    NormParams {
        batch, directions, state_row, x_direction, x_stride, map_direction, order, offsets, chunk, running, rank, h_stride,
        c_stride, d_stride, y_stride, y_offset, source, normed, scales, units, biases, gates_gain, units_gain,
    }
    /// out[m, j] = f(x[m, j]).
    ApplyParams { rows, columns, x_offset, x_row, out_offset, out_row, row_lanes }
    /// out[m] = argmax over columns.
    ArgmaxParams { m, columns, values_offset, values_row, out_offset }
    /// C[b, i, j] (+)= Σr A[b, r, i] · B[b, row(r), j].
    OuterParams {
        m, n, batch, a_offset, a_row, a_batch, b_offset, b_row, b_batch, c_offset, c_row, c_batch, mapped, map_offset,
        map_batch, first, end, start, to, accumulate,
    }
    /// values[i] = values[i] · scale or 0.
    DropoutParams { count, offset, threshold, scale, stream, seed_offset, row_lanes }
    /// out[row, unit] = what is drawn for it.
    MasksParams {
        rows, units, directions, out_offset, out_row, out_direction, map_direction, first, end, divisor, modulus,
        counter_row, counter_direction, threshold, weight, threshold_2, stream, row_lanes,
    }
    /// Lists of equal indices.
    LinksParams { start, end, index_offset, row_lanes }
    /// table[index[m], j] += values[m, j].
    ScatterAddParams {
        start, end, columns, table_rows, values_offset, values_row, index_offset, table_offset, row_groups,
    }
    /// out[g] = Σ f(values[i]) over blocks.
    ReduceParams { count, block, form, values_offset, out_offset, divided, divisor_offset, nan }
    /// Softmax cross-entropy of rows.
    CrossEntropyParams {
        m, columns, logits_offset, target_offset, count_offset, losses_offset, gradient_offset, nan, row_groups,
    }
    /// Squared error or binary cross-entropy.
    ElementLossParams {
        count, binary, x_offset, target_offset, count_offset, losses_offset, gradient_offset, row_lanes,
    }
    /// Whether a step is taken.
    GuardParams { max_norm, loss_offset, squares_offset, wary }
    /// Stochastic gradient descent.
    SgdParams { count, momentum, decay, nesterov, max_value, trial, row_lanes }
    /// Adam and AdamW.
    AdamParams { count, beta_1, beta_2, epsilon, decay, decoupled, max_value, trial, row_lanes }
    /// `step`, `sequence`, `grid` and `wave`.
    RecurrenceParams {
        batch, directions, state_row, x_direction, x_stride, map_direction, order, offsets, chunk, steps, running,
        h_in_row, h_in_stride, h_out_stride, final_stride, y_stride, y_offset, aux_stride, source, between,
        units_0, panels_0, weights_0, weights_direction_0, gate_0,
        units_1, panels_1, weights_1, weights_direction_1, gate_1,
        layer, last,
    }
    /// What follows a `grid`.
    SettleParams { rows, state_row, h_width, width, h_at, aux_stride, aux_at, map_words, row_lanes }
    /// `step_backward` and `sequence_backward`.
    BackwardParams {
        batch, directions, state_row, x_direction, x_stride, map_direction, order, offsets, chunk, steps, running,
        d_in_row, d_in_stride, d_out_stride, dh_stride, dc_stride, dy_stride, dy_offset, source,
        units_0, panels_0, weights_0, weights_direction_0, fields_0,
        units_1, panels_1, weights_1, weights_direction_1, fields_1,
    }
}

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
            pub fn of_phases([first, second]: [PhaseParams; 2]) -> Self {
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

impl RecurrenceParams {
    /// What a `wave` is for the layer that is so many steps behind its lowest one: a step of one direction, with weights,
    /// states and rows of its own. What overflows is beyond every buffer.
    pub fn of_layer(&self, behind: u32) -> Self {
        let layer = self.layer.saturating_add(behind);
        let row = layer.saturating_mul(self.batch);
        Self {
            directions: 1,
            state_row: self.state_row.saturating_add(row),
            h_in_row: self.h_in_row.saturating_add(row),
            offsets: self.offsets.wrapping_sub(behind),
            weights_0: self.weights_0.saturating_add(layer.saturating_mul(2).saturating_mul(self.weights_direction_0)),
            y_stride: if layer == self.last { self.y_stride } else { 0 },
            x_direction: 0,
            layer,
            ..*self
        }
    }
}

of_phases!(RecurrenceParams, gate_0, gate_1);
of_phases!(BackwardParams, fields_0, fields_1);
