//! What a dispatch asks for, from its variant and parameters: grid, loop trips, work, and how far into each of its
//! buffers it reaches. Shaders run without bounds checks, so a plan is refused where one reaches beyond its buffer.

use super::{
    ArgmaxParams, GatherParams, GemmParams, Kernel, MAX_BINDINGS, PackParams, Packed, RecurrenceParams, Tile, Variant,
};

/// The largest number in a part of a buffer of indices, given its binding, first word and count.
pub(crate) type Maxima<'a> = &'a dyn Fn(usize, u64, u64) -> u64;

/// Words that a dispatch needs in each of its bindings.
pub(crate) fn needs(variant: &Variant, params: &[u32], maxima: Maxima<'_>) -> [u64; MAX_BINDINGS] {
    let width = u64::from(variant.panel);
    let mut words = [0; MAX_BINDINGS];
    match variant.kernel {
        Kernel::Gemm => {
            let p = wide::<GemmParams, 17>(params);
            let [m, n, k, batch, a_offset, a_row, a_column, a_batch, b_offset, b_batch, c_offset, c_row, c_batch, ..] =
                p;
            let [.., mapped, map_offset, map_batch, _] = p;
            let last = batch.saturating_sub(1);
            let rows = if mapped != 0 {
                words[2] = map_offset + last * map_batch + m;
                (0..batch).map(|b| maxima(2, map_offset + b * map_batch, m)).max().unwrap_or(0)
            } else {
                m.saturating_sub(1)
            };
            words[0] = a_offset + last * a_batch + rows * a_row + k.saturating_sub(1) * a_column + 1;
            words[1] = (b_offset + last * b_batch + packed_vectors(k, n, width)) * width;
            words[3] = c_offset + last * c_batch + m.saturating_sub(1) * c_row + n;
        }
        Kernel::Pack => {
            let p = wide::<PackParams, 11>(params);
            let [rows, columns, pitch, width, offset, row, column, biased, bias_offset, packed_offset, _] = p;
            words[0] = offset + rows.saturating_sub(1) * row + columns.saturating_sub(1) * column + 1;
            words[1] = if biased != 0 { bias_offset + columns } else { 0 };
            words[2] = packed_offset + (rows.div_ceil(width.max(1)) + 1) * pitch.max(columns) * width;
        }
        Kernel::Gather => {
            let p = wide::<GatherParams, 11>(params);
            let [m, columns, table_rows, offset, row, indexed, index_offset, out_offset, out_row, ..] = p;
            words[0] = offset + table_rows.saturating_sub(1) * row + columns;
            words[1] = if indexed != 0 { index_offset + m } else { 0 };
            words[2] = out_offset + m.saturating_sub(1) * out_row + columns;
        }
        Kernel::Argmax => {
            let [m, columns, offset, row, out_offset] = wide::<ArgmaxParams, 5>(params);
            words[0] = offset + m.saturating_sub(1) * row + columns;
            words[1] = out_offset + m;
        }
        Kernel::Step | Kernel::Sequence => recurrence(variant, params, maxima, &mut words),
    }
    words
}

fn recurrence(variant: &Variant, params: &[u32], maxima: Maxima<'_>, words: &mut [u64; MAX_BINDINGS]) {
    let p: RecurrenceParams = bytemuck::pod_read_unaligned(bytemuck::cast_slice(params));
    let u = |word: u32| u64::from(word);
    let phases = variant.phases();
    // Rows of x and map that this dispatch reaches, and the sequences that take part.
    let (rows, running) = if variant.kernel == Kernel::Step {
        (u(p.running), u(p.running))
    } else {
        let offsets = |at: u64| maxima(2, u(p.offsets) + at, 1);
        words[2] = u(p.offsets) + u(p.steps) + 2;
        let start = offsets(0);
        (offsets(u(p.steps)) - start, offsets(1) - start)
    };
    let last = u(p.directions).saturating_sub(1);
    let states = u(p.state_row) + last * u(p.batch) + maxima(2, u(p.order), running) + 1;
    let units = [u(p.units_0), u(p.units_1)];
    let state_units = units[phases.len() - 1];
    words[0] = last * u(p.x_direction) + (u(p.x_row) + rows).saturating_sub(1) * u(p.x_stride);
    for (i, phase) in phases.iter().enumerate() {
        let (panels, weights, direction, gate) = if i == 0 {
            (p.panels_0, p.weights_0, p.weights_direction_0, p.gate_0)
        } else {
            (p.panels_1, p.weights_1, p.weights_direction_1, p.gate_1)
        };
        let columns = phase.gates as u64 * units[i];
        let rows = if variant.panel == 1 { u(panels) } else { 4 * u(panels) };
        let end = u(weights) + last * u(direction) + packed_vectors(rows, columns, u64::from(variant.panel));
        words[1] = words[1].max(end * u(variant.panel));
        if phase.input {
            words[0] += if i == phases.len() - 1 || !phases[i + 1].input { u(gate) + columns } else { 0 };
        }
        words[5] = words[5].max((states - 1) * u(p.aux_stride) + phase.slots as u64 * units[i]);
    }
    words[2] = words[2].max(u(p.order) + running);
    words[3] = states * 4 * u(p.h_in_stride);
    // A step writes the units of its phase, a sequence whole rows.
    let out_words = if variant.kernel == Kernel::Step {
        phases[variant.phase as usize].units.of(units[0], state_units)
    } else {
        state_units.max(u(p.h_out_stride))
    };
    words[4] = (states - 1) * u(p.h_out_stride) + out_words;
    if p.y_stride != 0 {
        words[2] = words[2].max(u(p.map_row) + last * u(p.map_direction) + rows);
        let row = (0..=last).map(|d| maxima(2, u(p.map_row) + d * u(p.map_direction), rows)).max().unwrap_or(0);
        words[6] = u(p.y_offset) + row * u(p.y_stride) + last * state_units + state_units;
    }
    words[7] = (states - 1) * u(p.final_stride) + state_units;
}

/// Vectors of a packed matrix.
fn packed_vectors(rows: u64, columns: u64, panel: u64) -> u64 {
    Packed { rows: rows as usize, columns: columns as usize, panel: panel as usize }.vectors() as u64
}

/// Parameters as 64-bit words, so that sums and products of them do not overflow.
fn wide<P, const WORDS: usize>(params: &[u32]) -> [u64; WORDS] {
    const { assert!(size_of::<P>() == 4 * WORDS) };
    std::array::from_fn(|i| params.get(i).copied().map_or(0, u64::from))
}

/// Workgroups in x, y and z.
pub(crate) fn grid(variant: &Variant, params: &[u32]) -> [u64; 3] {
    let tile = variant.tile;
    let [rows, across, lanes] = [tile.rows, tile.lanes * tile.columns, tile.lanes].map(u64::from);
    // One element an invocation, in rows of the grid of `row_lanes`.
    let flat = |elements: u64, row_lanes: u64| [row_lanes / lanes, elements.div_ceil(row_lanes.max(1)), 1];
    match variant.kernel {
        Kernel::Gemm => {
            let [m, n, _, batch, ..] = wide::<GemmParams, 17>(params);
            [n.div_ceil(across), m.div_ceil(rows), batch]
        }
        Kernel::Pack => {
            let [rows, _, pitch, width, .., row_lanes] = wide::<PackParams, 11>(params);
            flat((rows.div_ceil(width.max(1)) + 1) * pitch * width, row_lanes)
        }
        Kernel::Gather => {
            let [m, columns, .., row_lanes] = wide::<GatherParams, 11>(params);
            flat(m * columns, row_lanes)
        }
        Kernel::Argmax => [wide::<ArgmaxParams, 5>(params)[0], 1, 1],
        Kernel::Step => {
            let p: RecurrenceParams = bytemuck::pod_read_unaligned(bytemuck::cast_slice(params));
            let units = if variant.phase == 0 { p.units_0 } else { p.units_1 };
            [u64::from(units).div_ceil(across), u64::from(p.running).div_ceil(rows), u64::from(p.directions)]
        }
        Kernel::Sequence => {
            let p: RecurrenceParams = bytemuck::pod_read_unaligned(bytemuck::cast_slice(params));
            [1, u64::from(p.running).div_ceil(rows), u64::from(p.directions)]
        }
    }
}

/// Loop trips of one invocation, over all loops of the shader: some drivers stop silently after 65,535.
pub(crate) fn trips(variant: &Variant, params: &[u32]) -> u64 {
    let tile = variant.tile;
    let [rows, lanes] = [tile.rows, tile.lanes].map(u64::from);
    match variant.kernel {
        Kernel::Gemm => wide::<GemmParams, 17>(params)[2].div_ceil(4) + rows,
        Kernel::Pack | Kernel::Gather => 0,
        Kernel::Argmax => wide::<ArgmaxParams, 5>(params)[1].div_ceil(lanes) + 32,
        Kernel::Step | Kernel::Sequence => {
            let p: RecurrenceParams = bytemuck::pod_read_unaligned(bytemuck::cast_slice(params));
            let phases = [(p.units_0, p.panels_0), (p.units_1, p.panels_1)].map(|(u, k)| (u64::from(u), u64::from(k)));
            if variant.kernel == Kernel::Step {
                return phases[variant.phase as usize].1 + rows;
            }
            let (edges, step) = sequence_trips(tile, variant.width, phases);
            edges + u64::from(p.steps) * step
        }
    }
}

/// Loop trips of `sequence`: around its steps, and in each of them. Phases are units and panels.
pub(crate) fn sequence_trips(tile: Tile, width: u32, phases: impl IntoIterator<Item = (u64, u64)>) -> (u64, u64) {
    let [rows, lanes] = [tile.rows, tile.lanes].map(u64::from);
    let edges = 3 * u64::from(tile.rows * width).div_ceil(lanes);
    let phases = phases.into_iter().map(|(units, panels)| units.div_ceil(lanes) * (panels + 1 + rows));
    (edges, phases.sum::<u64>() + 1)
}

/// Words that a row of the state in workgroup memory has to hold: `sequence` only.
pub(crate) fn state_width(variant: &Variant, params: &[u32]) -> u64 {
    if variant.kernel != Kernel::Sequence {
        return 0;
    }
    let p: RecurrenceParams = bytemuck::pod_read_unaligned(bytemuck::cast_slice(params));
    u64::from(p.units_0).max(4 * u64::from(p.h_in_stride))
}

/// Floating-point operations of the products: two for each multiplication with its addition.
pub(crate) fn flop(variant: &Variant, params: &[u32], maxima: Maxima<'_>) -> u64 {
    match variant.kernel {
        Kernel::Gemm => {
            let [m, n, k, batch, ..] = wide::<GemmParams, 17>(params);
            2 * m * n * k * batch
        }
        Kernel::Pack | Kernel::Gather | Kernel::Argmax => 0,
        Kernel::Step | Kernel::Sequence => {
            let p: RecurrenceParams = bytemuck::pod_read_unaligned(bytemuck::cast_slice(params));
            let phases = variant.phases();
            let units = [u64::from(p.units_0), u64::from(p.units_1)];
            let product = |phase: usize| {
                let k = phases[phase].source.of(units[0], units[phases.len() - 1]);
                2 * phases[phase].gates as u64 * units[phase] * k * u64::from(p.directions)
            };
            if variant.kernel == Kernel::Step {
                return product(variant.phase as usize) * u64::from(p.running);
            }
            let at = u64::from(p.offsets);
            let rows = maxima(2, at + u64::from(p.steps), 1) - maxima(2, at, 1);
            (0..phases.len()).map(product).sum::<u64>() * rows
        }
    }
}
