//! What a dispatch asks for, from its variant and parameters: grid, loop trips, work, and how far into each of its
//! buffers it reaches. Shaders run without bounds checks, so a plan is refused where one reaches beyond its buffer.

use super::limits::{MAX_BINDINGS, POLLS};
use super::packed::Packed;
use super::table::Kernel;
use super::tile::{FLAT, Tile, Wraps};
use super::variant::{Function, Variant};
use super::{
    AdamParams, ApplyParams, ArgmaxParams, BackwardParams, CrossEntropyParams, DropoutParams, ElementLossParams,
    GatherParams, GemmParams, GuardParams, LinksParams, MasksParams, NormParams, OuterParams, PackParams,
    RecurrenceParams, ReduceParams, ScanParams, ScatterAddParams, SettleParams, SgdParams,
};
use crate::cells::Scan;
use std::borrow::Cow;

/// The largest number in a part of a buffer of indices, given its binding, first word and count.
pub(crate) type Maxima<'a> = &'a dyn Fn(usize, u64, u64) -> u64;

/// Words that a dispatch needs in each of its bindings.
pub(crate) fn needs(variant: &Variant, params: &[u32], maxima: Maxima<'_>) -> [u64; MAX_BINDINGS] {
    let width = u64::from(variant.panel);
    let vector = u64::from(variant.vector_words());
    let narrow = |words: u64| if variant.narrow { words.div_ceil(2) } else { words };
    let mut words = [0; MAX_BINDINGS];
    match variant.kernel {
        Kernel::Gemm => {
            let p: GemmParams = read(params);
            let last = u(p.batch).saturating_sub(1);
            let map = Map { mapped: p.mapped, offset: p.map_offset, batch: p.map_batch, part: (p.first, p.end) };
            let (rows, largest) = map.rows(u(p.m), last, maxima, &mut words[2]);
            let (a_rows, c_rows) = match p.mapped {
                0 => (rows, rows),
                1 => (largest, rows),
                _ => (rows, largest),
            };
            let [k, n] = [u(p.k), u(p.n)];
            words[0] =
                u(p.a_offset) + last * u(p.a_batch) + a_rows * u(p.a_row) + k.saturating_sub(1) * u(p.a_column) + 1;
            words[1] = (u(p.b_offset) + last * u(p.b_batch) + packed_vectors(k, n, width)) * vector;
            words[3] = narrow(u(p.c_offset) + last * u(p.c_batch) + c_rows * u(p.c_row) + n);
        }
        Kernel::Outer => {
            let p: OuterParams = read(params);
            let last = u(p.batch).saturating_sub(1);
            let map = Map { mapped: p.mapped, offset: p.map_offset, batch: p.map_batch, part: (p.first, p.end) };
            let (rows, largest) = map.rows(u(p.to), last, maxima, &mut words[2]);
            let b_rows = if p.mapped == 0 { rows } else { largest };
            words[0] = u(p.a_offset) + last * u(p.a_batch) + rows * u(p.a_row) + u(p.m);
            words[1] = u(p.b_offset) + last * u(p.b_batch) + b_rows * u(p.b_row) + u(p.n);
            words[3] = u(p.c_offset) + last * u(p.c_batch) + u(p.m).saturating_sub(1) * u(p.c_row) + u(p.n);
        }
        Kernel::Pack => {
            let p = wide::<PackParams, 11>(params);
            let [rows, columns, pitch, width, offset, row, column, biased, bias_offset, packed_offset, _] = p;
            words[0] = offset + rows.saturating_sub(1) * row + columns.saturating_sub(1) * column + 1;
            words[1] = if biased != 0 { bias_offset + columns } else { 0 };
            words[2] = packed_offset + pack_words(variant, rows, pitch.max(columns), width);
        }
        Kernel::Gather => {
            let p = wide::<GatherParams, 12>(params);
            let [m, columns, table_rows, offset, row, indexed, index_offset, out_offset, out_row, ..] = p;
            words[0] = offset + table_rows.saturating_sub(1) * row + columns;
            words[1] = if indexed != 0 { index_offset + m } else { 0 };
            words[2] = out_offset + m.saturating_sub(1) * out_row + columns;
        }
        Kernel::Apply => {
            let p: ApplyParams = read(params);
            let [rows, columns] = [u(p.rows).saturating_sub(1), u(p.columns)];
            let read = if variant.function == Some(Function::Magnitude) { 2 * columns } else { columns };
            words[0] = u(p.x_offset) + rows * u(p.x_row) + read;
            words[1] = u(p.out_offset) + rows * u(p.out_row) + columns;
        }
        Kernel::Argmax => {
            let [m, columns, offset, row, out_offset] = wide::<ArgmaxParams, 5>(params);
            words[0] = offset + m.saturating_sub(1) * row + columns;
            words[1] = out_offset + m;
        }
        Kernel::Dropout => {
            let p: DropoutParams = read(params);
            words[0] = u(p.seed_offset) + 2;
            words[1] = u(p.offset) + u(p.count);
        }
        Kernel::Masks => {
            let p: MasksParams = read(params);
            let [first, last] = [maxima(1, u(p.first), 1), u(p.directions).saturating_sub(1)];
            words[0] = 2;
            words[1] = (u(p.first.max(p.end)) + 1).max(last * u(p.map_direction) + first + u(p.rows));
            words[2] =
                u(p.out_offset) + last * u(p.out_direction) + u(p.rows).saturating_sub(1) * u(p.out_row) + u(p.units);
        }
        Kernel::Links => {
            let p: LinksParams = read(params);
            words[0] = u(p.index_offset) + u(p.end);
            words[1] = u(p.end);
        }
        Kernel::ScatterAdd => {
            let p: ScatterAddParams = read(params);
            words[0] = u(p.values_offset) + u(p.end).saturating_sub(1) * u(p.values_row) + u(p.columns);
            words[1] = u(p.index_offset) + u(p.end);
            words[2] = u(p.end);
            words[3] = u(p.table_offset) + u(p.table_rows) * u(p.columns);
        }
        Kernel::Reduce => {
            let p: ReduceParams = read(params);
            words[0] = u(p.values_offset) + u(p.count);
            words[1] = if p.divided != 0 { u(p.divisor_offset) + 1 } else { 0 };
            words[2] = u(p.out_offset) + u(p.count).div_ceil(u(p.block).max(1));
        }
        Kernel::CrossEntropy => {
            let p: CrossEntropyParams = read(params);
            words[0] = u(p.logits_offset) + u(p.m) * u(p.columns);
            words[1] = u(p.target_offset) + u(p.m);
            words[2] = u(p.count_offset) + 1;
            words[3] = u(p.losses_offset) + u(p.m);
            words[4] = u(p.gradient_offset) + u(p.m) * u(p.columns);
        }
        Kernel::ElementLoss => {
            let p: ElementLossParams = read(params);
            words[0] = u(p.x_offset) + u(p.count);
            words[1] = u(p.target_offset) + u(p.count);
            words[2] = u(p.count_offset) + 1;
            words[3] = u(p.losses_offset) + u(p.count);
            words[4] = u(p.gradient_offset) + u(p.count);
        }
        Kernel::Guard => {
            let p: GuardParams = read(params);
            words[..5].copy_from_slice(&[6, u(p.loss_offset) + 1, u(p.squares_offset) + 1, 6, 3]);
        }
        Kernel::Sgd => {
            let p: SgdParams = read(params);
            let moment = if p.momentum != 0 { u(p.count) } else { 0 };
            words[..6].copy_from_slice(&[u(p.count), 3, 3, u(p.count), moment, 6]);
        }
        Kernel::Adam => {
            let count = u(read::<AdamParams>(params).count);
            words[..7].copy_from_slice(&[count, 5, 3, count, count, count, 6]);
        }
        Kernel::Step | Kernel::Sequence | Kernel::Grid => recurrence(variant, params, maxima, &mut words),
        Kernel::Wave => wave(variant, params, maxima, &mut words),
        Kernel::Settle => {
            let p: SettleParams = read(params);
            let states = u(p.state_row) + u(p.rows);
            let [h, held] = [u(p.h_at) + u(p.rows) * u(p.width), u(p.aux_at) + u(p.rows) * u(p.aux_stride)];
            let map = u(p.map_words);
            words[..5].copy_from_slice(&[h.max(held), map, map, states * u(p.h_width), states * u(p.aux_stride)]);
        }
        Kernel::StepBackward | Kernel::SequenceBackward => backward(variant, params, maxima, &mut words),
        Kernel::Scan | Kernel::ScanBackward => scan(variant, params, maxima, &mut words),
        Kernel::NormStep | Kernel::NormStepBackward => norm(variant, params, maxima, &mut words),
    }
    words
}

/// A parameter as a 64-bit word, so that sums and products do not overflow.
fn u(word: u32) -> u64 {
    word.into()
}

fn read<P: bytemuck::Pod>(params: &[u32]) -> P {
    bytemuck::pod_read_unaligned(bytemuck::cast_slice(params))
}

/// How rows are looked up: `gemm` and `outer`.
struct Map {
    mapped: u32,
    offset: u32,
    batch: u32,
    part: (u32, u32),
}

impl Map {
    /// The last of at most `rows` rows, and the largest that the map gives for them in any batch up to `last`; `words` takes
    /// how far into the map they reach.
    fn rows(&self, rows: u64, last: u64, maxima: Maxima<'_>, words: &mut u64) -> (u64, u64) {
        let (first, end) = self.part;
        let mut start = u(self.offset);
        let mut rows = rows;
        if first != end {
            *words = u(first.max(end)) + 1;
            let from = maxima(2, u(first), 1);
            start += from;
            rows = rows.min(maxima(2, u(end), 1).saturating_sub(from));
        }
        if self.mapped == 0 {
            return (rows.saturating_sub(1), 0);
        }
        *words = (*words).max(start + last * u(self.batch) + rows);
        let largest = (0..=last).map(|b| maxima(2, start + b * u(self.batch), rows)).max().unwrap_or(0);
        (rows.saturating_sub(1), largest)
    }
}

/// Words of an exchange before its slots.
pub(crate) const EXCHANGE_HEAD: u64 = 64;

/// Words of an exchange: for each phase of each step a row for each state, then the slots that are held.
pub(crate) const fn exchange_words(states: u64, phases: u64, width: u64, held: u64) -> u64 {
    EXCHANGE_HEAD + states * (phases * width + held)
}

/// The rows that a recurrent dispatch reaches: in the map, among those of the chunk, and the sequences that take part.
struct Rows {
    first: u64,
    count: u64,
    in_chunk: u64,
    running: u64,
}

impl Rows {
    fn new(one_step: bool, [offsets, chunk, steps]: [u32; 3], maxima: Maxima<'_>) -> Self {
        let offset = |at: u64| maxima(2, u(offsets) + at, 1);
        let first = offset(0);
        let end = offset(if one_step { 1 } else { u(steps) });
        // A chunk that begins later than its first step reaches nowhere.
        let in_chunk = first.checked_sub(maxima(2, u(chunk), 1)).unwrap_or(u64::from(u32::MAX));
        Self { first, count: end.saturating_sub(first), in_chunk, running: offset(1).saturating_sub(first) }
    }
}

fn recurrence(variant: &Variant, params: &[u32], maxima: Maxima<'_>, words: &mut [u64; MAX_BINDINGS]) {
    let p: RecurrenceParams = read(params);
    let phases = variant.phases();
    let one_step = variant.kernel == Kernel::Step;
    let rows = Rows::new(one_step, [p.offsets, p.chunk, p.steps], maxima);
    let steps = if one_step { 1 } else { u(p.steps) };
    words[2] = (u(p.offsets) + steps + 2).max(u(p.chunk) + 1);
    let last = u(p.directions).saturating_sub(1);
    let states = u(p.state_row) + last * u(p.batch) + maxima(2, u(p.order), rows.running) + 1;
    let units = [u(p.units_0), u(p.units_1)];
    let state_units = units[phases.len() - 1];
    // The columns of a row that it reaches; the old h has what is drawn behind it.
    let drawn = 1 + variant.cell.map_or(0, |form| form.drawn_columns()) as u64;
    let mut columns = 0;
    for (i, phase) in phases.iter().enumerate() {
        let (panels, weights, direction, gate) = if i == 0 {
            (p.panels_0, p.weights_0, p.weights_direction_0, p.gate_0)
        } else {
            (p.panels_1, p.weights_1, p.weights_direction_1, p.gate_1)
        };
        let wide = phase.gates as u64 * units[i];
        let rows = if variant.panel == 1 { u(panels) } else { 4 * u(panels) };
        let end = u(weights) + last * u(direction) + packed_vectors(rows, wide, u(variant.panel));
        let peepholes = if variant.template_equations().peepholes && phase.input {
            u(p.directions) * packed_vectors(0, wide, u(variant.panel))
        } else {
            0
        };
        words[1] = words[1].max((end + peepholes) * u(variant.vector_words()));
        if phase.input {
            columns = columns.max(u(gate) + wide);
        }
        if variant.keep {
            columns = columns.max(u(gate) + phase.kept as u64 * units[i]).max(u(p.source) + drawn * state_units);
            columns = columns.max(if i + 1 < phases.len() { u(p.between) + units[i] } else { 0 });
        }
        words[5] = words[5].max((states - 1) * u(p.aux_stride) + phase.slots as u64 * units[i]);
    }
    let x_rows = (rows.in_chunk + rows.count).saturating_sub(1);
    words[0] = last * u(p.x_direction) + x_rows * u(p.x_stride) + columns;
    if variant.narrow {
        words[0] = words[0].div_ceil(2);
    }
    words[2] = words[2].max(u(p.order) + rows.running);
    // A row is read as far as the product goes.
    let panels = u(if variant.phase == 0 { p.panels_0 } else { p.panels_1 });
    let over = if one_step && variant.panel > 1 { panels.saturating_sub(u(p.h_in_stride)) } else { 0 };
    words[3] = (states - u(p.state_row) + u(p.h_in_row)) * 4 * u(p.h_in_stride) + 4 * over;
    // A step writes the units of its phase, a sequence whole rows.
    let out_words = if one_step {
        phases[variant.phase as usize].units.of(units[0], state_units)
    } else {
        state_units.max(u(p.h_out_stride))
    };
    words[4] = (states - 1) * u(p.h_out_stride) + out_words;
    if variant.kernel == Kernel::Grid {
        // All sequences' slots are held, of those too that have ended.
        let all = u(p.directions) * u(p.batch);
        words[2] = words[2].max(u(p.order) + u(p.batch));
        words[4] = exchange_words(all, steps * phases.len() as u64, u(p.h_out_stride), u(p.aux_stride));
        words[5] = (u(p.state_row) + all) * u(p.aux_stride);
    }
    if p.y_stride != 0 {
        let row = image(&rows, p.map_direction, last, maxima, &mut words[2]);
        words[6] = u(p.y_offset) + row * u(p.y_stride) + last * state_units + state_units;
    }
    words[7] = (states - 1) * u(p.final_stride) + state_units;
}

/// Each layer is as a step of one direction, with weights, states and a step of its own.
fn wave(variant: &Variant, params: &[u32], maxima: Maxima<'_>, words: &mut [u64; MAX_BINDINGS]) {
    let p: RecurrenceParams = read(params);
    let step = Variant { kernel: Kernel::Step, ..variant.clone() };
    for behind in 0..p.directions {
        let of_layer = p.of_layer(behind);
        let mut needs = [0; MAX_BINDINGS];
        recurrence(&step, &of_layer.words(), maxima, &mut needs);
        // Only the lowest one reads rows of the input part.
        if of_layer.layer > 0 {
            needs[0] = 0;
        }
        words.iter_mut().zip(needs).for_each(|(words, need)| *words = need.max(*words));
    }
}

/// The largest row of the caller's array, over all directions.
fn image(rows: &Rows, direction: u32, last: u64, maxima: Maxima<'_>, words: &mut u64) -> u64 {
    *words = (*words).max(rows.first + last * u(direction) + rows.count);
    (0..=last).map(|d| maxima(2, rows.first + d * u(direction), rows.count)).max().unwrap_or(0)
}

/// `scan` and its backward half, whose bindings but for the states' second copies are alike.
fn scan(variant: &Variant, params: &[u32], maxima: Maxima<'_>, words: &mut [u64; MAX_BINDINGS]) {
    let p: ScanParams = read(params);
    let Some(cell) = variant.scan() else { return };
    let backward = variant.kernel == Kernel::ScanBackward;
    let rows = Rows::new(false, [p.offsets, p.chunk, p.steps], maxima);
    let last = u(p.directions).saturating_sub(1);
    let states = u(p.state_row) + last * u(p.batch) + maxima(2, u(p.order), rows.running) + 1;
    let units = u(p.units);
    let columns = if variant.keep || backward { u(p.source) + units } else { cell.gates as u64 * units };
    let x_rows = (rows.in_chunk + rows.count).saturating_sub(1);
    let x = last * u(p.x_direction) + x_rows * u(p.x_stride) + columns;
    words[0] = if variant.narrow { x.div_ceil(2) } else { x };
    words[2] = (u(p.offsets) + u(p.steps) + 2).max(u(p.chunk) + 1).max(u(p.order) + rows.running);
    let h = (states - 1) * u(p.h_stride) + units;
    let c = match cell {
        Scan { has_c: true, .. } => (states - 1) * u(p.c_stride) + units,
        Scan { diagonal: true, .. } => last * u(p.c_stride) + units * u(variant.panel),
        _ => 0,
    };
    let y = if p.y_stride != 0 {
        let row = image(&rows, p.map_direction, last, maxima, &mut words[2]);
        u(p.y_offset) + row * u(p.y_stride) + last * units + units
    } else {
        0
    };
    let carry = carry_words(variant, [p.parts, p.directions, p.batch, p.units]);
    words[1] = h;
    if backward {
        words[3..6].copy_from_slice(&[c, y, carry]);
    } else {
        words[3..8].copy_from_slice(&[h, c, y, h, carry]);
    }
}

/// `norm_step` and its backward half, whose bindings come in one order.
fn norm(variant: &Variant, params: &[u32], maxima: Maxima<'_>, words: &mut [u64; MAX_BINDINGS]) {
    let p: NormParams = read(params);
    let (Some(norm), [phase]) = (variant.norm(), variant.phases()) else { return };
    let backward = variant.kernel == Kernel::NormStepBackward;
    let rows = Rows::new(true, [p.offsets, p.chunk, 1], maxima);
    let last = u(p.directions).saturating_sub(1);
    let own = last * u(p.batch) + maxima(2, u(p.order), rows.running);
    let state = u(p.state_row) + own;
    let units = u(p.units);
    let gates = norm.groups.len() as u64 * units;
    let columns = if variant.keep || backward {
        let normed = u(p.normed) + 2 * gates + if norm.has_c { units } else { 0 };
        let fields = phase.kept.max(phase.fields) as u64 * units;
        normed.max(u(p.scales) + 5).max(u(p.source) + units).max(fields)
    } else {
        gates
    };
    let x_rows = (rows.in_chunk + rows.count).saturating_sub(1);
    words[0] = last * u(p.x_direction) + x_rows * u(p.x_stride) + columns;
    let of_gates = packed_vectors(2 + u(p.biases), gates, u(variant.panel));
    let of_c = if norm.has_c { packed_vectors(1 + u(p.biases.min(1)), units, u(variant.panel)) } else { 0 };
    let stride = u(p.gates_gain) + u(p.units_gain);
    words[1] = (last * stride + of_gates.max(u(p.gates_gain) + of_c)) * u(variant.panel);
    words[2] = (u(p.offsets) + 3).max(u(p.chunk) + 1).max(u(p.order) + rows.running);
    let h = state * u(p.h_stride) + units;
    let c = if norm.has_c { state * u(p.c_stride) + units } else { 0 };
    let y = if p.y_stride != 0 {
        let row = image(&rows, p.map_direction, last, maxima, &mut words[2]);
        u(p.y_offset) + row * u(p.y_stride) + last * units + units
    } else {
        0
    };
    let sums = own * u(p.d_stride) + 5 * gates + if norm.has_c { 2 * units } else { 0 };
    let ranks = last * u(p.batch) + rows.running;
    let own = if backward { [ranks * units, sums, h, c, y] } else { [ranks * gates, h, c, y, h] };
    words[3..].copy_from_slice(&own);
}

/// Words of what parts of a scan hand on: two numbers a part, and the states that it begins with.
fn carry_words(variant: &Variant, sizes: [u32; 4]) -> u64 {
    let [parts, rest @ ..] = sizes.map(u);
    if variant.phase == 0 { 0 } else { (2 * parts + 1) * rest.iter().product::<u64>() }
}

fn backward(variant: &Variant, params: &[u32], maxima: Maxima<'_>, words: &mut [u64; MAX_BINDINGS]) {
    let p: BackwardParams = read(params);
    let phases = variant.phases();
    let one_step = variant.kernel == Kernel::StepBackward;
    let rows = Rows::new(one_step, [p.offsets, p.chunk, p.steps], maxima);
    let steps = if one_step { 1 } else { u(p.steps) };
    words[2] = (u(p.offsets) + steps + 1).max(u(p.chunk) + 1);
    let last = u(p.directions).saturating_sub(1);
    let states = u(p.state_row) + last * u(p.batch) + maxima(2, u(p.order), rows.running) + 1;
    let units = [u(p.units_0), u(p.units_1)];
    let state_units = units[phases.len() - 1];
    let drawn = 1 + variant.cell.map_or(0, |form| form.drawn_columns()) as u64;
    let mut columns = 0;
    let mut gates = 0;
    for (i, phase) in phases.iter().enumerate() {
        let (panels, weights, direction, fields) = if i == 0 {
            (p.panels_0, p.weights_0, p.weights_direction_0, p.fields_0)
        } else {
            (p.panels_1, p.weights_1, p.weights_direction_1, p.fields_1)
        };
        let k = if variant.panel == 1 { u(panels) } else { 4 * u(panels) };
        let end = u(weights) + last * u(direction) + packed_vectors(k, units[i], u(variant.panel));
        words[1] = words[1].max(end * u(variant.vector_words()));
        columns = columns.max(u(fields) + phase.fields as u64 * units[i]);
        if phase.hidden_backward || drawn > 1 {
            columns = columns.max(u(p.source) + drawn * units[i]);
        }
        if phase.carries_h {
            words[5] = words[5].max((states - 1) * u(p.dh_stride) + units[i]);
        }
        if phase.carried > 0 {
            words[6] = words[6].max((states - 1) * u(p.dc_stride) + phase.carried as u64 * units[i]);
        }
        if i == variant.phase as usize {
            gates = phase.gates as u64 * units[i];
        }
    }
    let x_rows = (rows.in_chunk + rows.count).saturating_sub(1);
    words[0] = last * u(p.x_direction) + x_rows * u(p.x_stride) + columns;
    words[2] = words[2].max(u(p.order) + rows.running);
    words[3] = (states - u(p.state_row) + u(p.d_in_row)) * 4 * u(p.d_in_stride);
    words[4] = (states - 1) * u(p.d_out_stride) + if one_step { gates } else { u(p.d_out_stride) };
    if p.dy_stride != 0 {
        let row = image(&rows, p.map_direction, last, maxima, &mut words[2]);
        words[7] = u(p.dy_offset) + row * u(p.dy_stride) + last * state_units + state_units;
    }
}

/// Words that `pack` writes.
fn pack_words(variant: &Variant, rows: u64, pitch: u64, width: u64) -> u64 {
    let vector = if variant.half && width > 1 { width / 2 } else { width };
    (rows.div_ceil(width.max(1)) + 1) * pitch * vector
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
    let [x, y, z] = plain_grid(variant, params);
    match (u64::from(variant.wrapped), variant.kernel.wraps()) {
        (1.., Some(Wraps::Rows)) => {
            let along = u64::from(variant.wrapped);
            [x, along, y.saturating_mul(z).div_ceil(along)]
        }
        (1.., Some(Wraps::Columns)) => {
            let along = u64::from(variant.wrapped);
            [along, x.div_ceil(along), 1]
        }
        _ => [x, y, z],
    }
}

/// The variant whose workgroups fit on the axes of a grid, each of which may have so many.
pub(crate) fn wrapped(variant: Variant, params: &[u32], most: u64) -> Variant {
    /// Few values, few kernels.
    const ALONG: u64 = 1 << 15;
    let [x, y, z] = plain_grid(&variant, params);
    let too_many = match variant.kernel.wraps() {
        Some(Wraps::Rows) => y.max(z) > most,
        Some(Wraps::Columns) => x > most,
        None => false,
    };
    let along = most.clamp(1, ALONG) as u32;
    if too_many { Variant { wrapped: along, ..variant } } else { variant }
}

/// The parameters of a kernel whose workgroups wrap into y by themselves, with no more of them along x than an axis may have.
pub(crate) fn wrapped_params<'a>(variant: &Variant, params: &'a [u32], most: u64) -> Cow<'a, [u32]> {
    let place = |name: &str| variant.kernel.row().params.iter().position(|&param| param == name);
    let most = u32::try_from(most).unwrap_or(u32::MAX).max(1);
    let (place, most) = match (place("row_lanes"), place("row_groups")) {
        (Some(at), _) => (at, most.saturating_mul(variant.tile.lanes)),
        (None, Some(at)) => (at, most),
        (None, None) => return Cow::Borrowed(params),
    };
    if params.get(place).is_none_or(|&along| along <= most) {
        return Cow::Borrowed(params);
    }
    let mut params = params.to_vec();
    params[place] = most;
    Cow::Owned(params)
}

/// Workgroups before any are spread over two axes.
fn plain_grid(variant: &Variant, params: &[u32]) -> [u64; 3] {
    let tile = variant.tile;
    // A lane of a cooperative product has no columns of its own.
    let across = if variant.cooperative.is_some() { tile.columns } else { tile.lanes * tile.columns };
    let [rows, across, lanes] = [tile.rows, across, tile.lanes].map(u64::from);
    // One element an invocation, in rows of the grid of `row_lanes`.
    let flat = |elements: u64, row_lanes: u64| [row_lanes / lanes, elements.div_ceil(row_lanes.max(1)), 1];
    match variant.kernel {
        Kernel::Gemm => {
            let p: GemmParams = read(params);
            let [down, across] = if variant.staged { [16 * rows, 16 * rows] } else { [rows, across] };
            [u(p.n).div_ceil(across), u(p.m).div_ceil(down), u(p.batch)]
        }
        Kernel::Outer => {
            let p: OuterParams = read(params);
            [u(p.n).div_ceil(4 * lanes), u(p.m).div_ceil(rows), u(p.batch)]
        }
        Kernel::Pack => {
            let [rows, _, pitch, width, .., row_lanes] = wide::<PackParams, 11>(params);
            flat(pack_words(variant, rows, pitch, width), row_lanes)
        }
        Kernel::Gather => {
            let [m, columns, .., row_lanes] = wide::<GatherParams, 12>(params);
            flat(m * columns, row_lanes)
        }
        Kernel::Apply => {
            let p: ApplyParams = read(params);
            flat(u(p.rows) * u(p.columns), u(p.row_lanes))
        }
        Kernel::Argmax => [wide::<ArgmaxParams, 5>(params)[0], 1, 1],
        Kernel::Dropout => {
            let p: DropoutParams = read(params);
            flat(u(p.count), u(p.row_lanes))
        }
        Kernel::Masks => {
            let p: MasksParams = read(params);
            let [across, down, _] = flat(u(p.rows) * u(p.units), u(p.row_lanes));
            [across, down, u(p.directions)]
        }
        Kernel::ElementLoss => {
            let p: ElementLossParams = read(params);
            flat(u(p.count), u(p.row_lanes))
        }
        Kernel::Sgd => {
            let p: SgdParams = read(params);
            flat(u(p.count), u(p.row_lanes))
        }
        Kernel::Adam => {
            let p: AdamParams = read(params);
            flat(u(p.count), u(p.row_lanes))
        }
        Kernel::Links => {
            let p: LinksParams = read(params);
            flat(u(p.end).saturating_sub(u(p.start)), u(p.row_lanes))
        }
        Kernel::ScatterAdd => {
            let p: ScatterAddParams = read(params);
            let rows = u(p.end).saturating_sub(u(p.start));
            [u(p.row_groups), rows.div_ceil(u(p.row_groups).max(1)), u(p.columns).div_ceil(lanes)]
        }
        Kernel::CrossEntropy => {
            let p: CrossEntropyParams = read(params);
            [u(p.row_groups), u(p.m).div_ceil(u(p.row_groups).max(1)), 1]
        }
        Kernel::Reduce => {
            let p: ReduceParams = read(params);
            [u(p.count).div_ceil(u(p.block).max(1)), 1, 1]
        }
        Kernel::Guard => [1, 1, 1],
        Kernel::Settle => {
            let p: SettleParams = read(params);
            flat((u(p.rows) * u(p.width.max(p.aux_stride))).max(u(p.map_words)), u(p.row_lanes))
        }
        Kernel::Scan | Kernel::ScanBackward => {
            let p: ScanParams = read(params);
            [u(p.units).div_ceil(lanes), u(p.running), u(p.directions) * u(p.parts)]
        }
        Kernel::NormStep | Kernel::NormStepBackward => {
            let p: NormParams = read(params);
            [1, u(p.running), u(p.directions)]
        }
        Kernel::Grid => {
            let p: RecurrenceParams = read(params);
            [u(p.units_0.max(p.units_1)).div_ceil(lanes), u(p.batch).div_ceil(rows), u(p.directions)]
        }
        Kernel::Step | Kernel::Wave => {
            let p: RecurrenceParams = read(params);
            let units = if variant.phase == 0 { p.units_0 } else { p.units_1 };
            [u(units).div_ceil(across), u(p.running).div_ceil(rows), u(p.directions)]
        }
        Kernel::StepBackward => {
            let p: BackwardParams = read(params);
            let units = if variant.phase == 0 { p.units_0 } else { p.units_1 };
            [u(units).div_ceil(across), u(p.running).div_ceil(rows), u(p.directions)]
        }
        Kernel::Sequence => {
            let p: RecurrenceParams = read(params);
            [1, u(p.running).div_ceil(rows), u(p.directions)]
        }
        Kernel::SequenceBackward => {
            let p: BackwardParams = read(params);
            [1, u(p.running).div_ceil(rows), u(p.directions)]
        }
    }
}

/// Units and panels of a recurrent dispatch's phases, and its steps.
fn phases(variant: &Variant, params: &[u32]) -> ([(u64, u64); 2], u64) {
    if matches!(variant.kernel, Kernel::Step | Kernel::Sequence | Kernel::Grid | Kernel::Wave) {
        let p: RecurrenceParams = read(params);
        ([(p.units_0, p.panels_0), (p.units_1, p.panels_1)].map(|(a, b)| (u(a), u(b))), u(p.steps))
    } else {
        let p: BackwardParams = read(params);
        ([(p.units_0, p.panels_0), (p.units_1, p.panels_1)].map(|(a, b)| (u(a), u(b))), u(p.steps))
    }
}

/// Loop trips of `grid` around its steps, and in each of them.
pub(crate) fn grid_trips(tile: Tile, width: u32, phases: impl IntoIterator<Item = (u64, u64)>) -> (u64, u64) {
    let [rows, lanes] = [tile.rows, tile.lanes].map(u64::from);
    let staged = (rows * u64::from(width)).div_ceil(lanes);
    let step = phases.into_iter().map(|(_, panels)| staged + panels + rows).sum::<u64>() + 1;
    (u64::from(POLLS) + 4 * rows, step)
}

/// Loop trips of one invocation, over all loops of the shader: some drivers stop silently after 65,535.
pub(crate) fn trips(variant: &Variant, params: &[u32]) -> u64 {
    let tile = variant.tile;
    let [rows, lanes] = [tile.rows, tile.lanes].map(u64::from);
    match variant.kernel {
        Kernel::Gemm if variant.staged || variant.cooperative.is_some() => {
            2 * u(read::<GemmParams>(params).k).div_ceil(4) + 2 * rows + 16
        }
        Kernel::Gemm => u(read::<GemmParams>(params).k).div_ceil(4) + rows,
        Kernel::Outer => {
            let p: OuterParams = read(params);
            u(p.to).saturating_sub(u(p.start)) + rows
        }
        Kernel::Pack
        | Kernel::Gather
        | Kernel::Apply
        | Kernel::Dropout
        | Kernel::Masks
        | Kernel::ElementLoss
        | Kernel::Guard
        | Kernel::Settle
        | Kernel::Sgd
        | Kernel::Adam => 0,
        Kernel::Scan | Kernel::ScanBackward => {
            let p: ScanParams = read(params);
            u(p.part) + u(p.parts)
        }
        // Three sums over lanes, and a loop over units before and after.
        Kernel::NormStep | Kernel::NormStepBackward => {
            5 * u(read::<NormParams>(params).units).div_ceil(lanes) + 4 * u64::from(tile.lanes.ilog2())
        }
        Kernel::Argmax | Kernel::CrossEntropy => row_trips(variant, columns_of(variant.kernel, params)),
        Kernel::Reduce => u(read::<ReduceParams>(params).block).div_ceil(lanes) + 32,
        Kernel::ScatterAdd => {
            let p: ScatterAddParams = read(params);
            u(p.end).saturating_sub(u(p.start))
        }
        Kernel::Links => {
            let p: LinksParams = read(params);
            // One way or the other.
            u(p.end).saturating_sub(u(p.start))
        }
        // Loops over a stage's vectors too: all together not more than two for each of the columns' vectors.
        Kernel::Step if variant.cooperative.is_some() => {
            4 * phases(variant, params).0[variant.phase as usize].1 + 2 * rows + 16
        }
        Kernel::Step | Kernel::StepBackward => phases(variant, params).0[variant.phase as usize].1 + rows,
        Kernel::Wave => 2 * phases(variant, params).0[0].1 + rows,
        Kernel::Grid => {
            let (phases, steps) = phases(variant, params);
            let (edges, step) = grid_trips(tile, variant.width, phases.into_iter().take(variant.phases().len()));
            edges + steps * step
        }
        Kernel::Sequence | Kernel::SequenceBackward => {
            let (phases, steps) = phases(variant, params);
            let (edges, step) = sequence_trips(tile, variant.width, phases);
            edges + steps * step
        }
    }
}

/// Columns of a row of `argmax` or `cross_entropy`.
fn columns_of(kernel: Kernel, params: &[u32]) -> u64 {
    match kernel {
        Kernel::Argmax => wide::<ArgmaxParams, 5>(params)[1],
        _ => u(read::<CrossEntropyParams>(params).columns),
    }
}

/// Loop trips over a row of `argmax` or `cross_entropy`.
fn row_trips(variant: &Variant, columns: u64) -> u64 {
    let loops = if variant.kernel == Kernel::Argmax { 1 } else { 3 };
    loops * columns.div_ceil(u64::from(variant.tile.lanes * variant.tile.columns)) + 32
}

/// The tile of `argmax` or `cross_entropy` over rows of so many columns: a lane takes as many columns a loop trip as keep its
/// trips within a limit.
pub(crate) fn row_tile(kernel: Kernel, columns: usize, trips: u64) -> Tile {
    let mut tiles = (0..=6).map(|power| Tile { columns: 1 << power, ..FLAT });
    let fits = |tile: &Tile| row_trips(&Variant::new(kernel, *tile, 1), columns as u64) <= trips;
    tiles.clone().find(fits).or_else(|| tiles.next_back()).unwrap_or(FLAT)
}

/// Loop trips of `sequence`: around its steps, and in each of them. Phases are units and panels.
pub(crate) fn sequence_trips(tile: Tile, width: u32, phases: impl IntoIterator<Item = (u64, u64)>) -> (u64, u64) {
    let [rows, lanes] = [tile.rows, tile.lanes].map(u64::from);
    let edges = 3 * (rows * u64::from(width)).div_ceil(lanes);
    let phases = phases.into_iter().map(|(units, panels)| units.div_ceil(lanes) * (panels + 1 + rows));
    (edges, phases.sum::<u64>() + 1)
}

/// Words that a row of the state in workgroup memory has to hold: `sequence` and `sequence_backward` only.
pub(crate) fn state_width(variant: &Variant, params: &[u32]) -> u64 {
    match variant.kernel {
        Kernel::Grid => {
            let p: RecurrenceParams = read(params);
            let rows = if variant.panel == 1 { 1 } else { 4 };
            u(p.units_0.max(p.units_1)).max(rows * u(p.panels_0.max(p.panels_1)))
        }
        Kernel::Sequence => {
            let p: RecurrenceParams = read(params);
            u(p.units_0).max(4 * u(p.h_in_stride))
        }
        Kernel::SequenceBackward => {
            let p: BackwardParams = read(params);
            let units = [u(p.units_0), u(p.units_1)];
            let gates = variant.phases().iter().zip(units).map(|(phase, units)| phase.gates as u64 * units);
            gates.map(|words| words.next_multiple_of(4)).max().unwrap_or(0).max(4 * u(p.d_in_stride))
        }
        _ => 0,
    }
}

/// Floating-point operations of the products: two for each multiplication with its addition.
pub(crate) fn flop(variant: &Variant, params: &[u32], maxima: Maxima<'_>) -> u64 {
    match variant.kernel {
        Kernel::Gemm => {
            let p: GemmParams = read(params);
            2 * u(p.m) * u(p.n) * u(p.k) * u(p.batch)
        }
        Kernel::Outer => {
            let p: OuterParams = read(params);
            2 * u(p.m) * u(p.n) * u(p.to).saturating_sub(u(p.start)) * u(p.batch)
        }
        Kernel::Step | Kernel::Sequence | Kernel::Grid => {
            let p: RecurrenceParams = read(params);
            recurrent_flop(variant, [p.units_0, p.units_1], p.directions, [p.offsets, p.steps], maxima)
        }
        Kernel::Wave => {
            let p: RecurrenceParams = read(params);
            let k = u(p.units_0);
            let rows = |behind: u32| {
                let at = u(p.offsets.wrapping_sub(behind));
                maxima(2, at + 1, 1).saturating_sub(maxima(2, at, 1))
            };
            // The lowest layer multiplies R only.
            let products = |behind: u32| if p.layer + behind == 0 { 1 } else { 2 };
            let layer = |behind: u32| 2 * variant.phases()[0].gates as u64 * k * k * products(behind) * rows(behind);
            (0..p.directions).map(layer).sum()
        }
        Kernel::StepBackward | Kernel::SequenceBackward => {
            let p: BackwardParams = read(params);
            recurrent_flop(variant, [p.units_0, p.units_1], p.directions, [p.offsets, p.steps], maxima)
        }
        // No products.
        _ => 0,
    }
}

/// Backwards a phase's product is the transpose of the next one's, so that all of them together come to the same.
fn recurrent_flop(
    variant: &Variant,
    units: [u32; 2],
    directions: u32,
    [offsets, steps]: [u32; 2],
    maxima: Maxima<'_>,
) -> u64 {
    let phases = variant.phases();
    let units = units.map(u);
    let product = |phase: usize| {
        let k = phases[phase].source.of(units[0], units[phases.len() - 1]);
        2 * phases[phase].gates as u64 * units[phase] * k * u(directions)
    };
    let rows = |steps: u64| maxima(2, u(offsets) + steps, 1).saturating_sub(maxima(2, u(offsets), 1));
    match variant.kernel {
        Kernel::Step => product(variant.phase as usize) * rows(1),
        Kernel::StepBackward => product((variant.phase as usize + 1) % phases.len()) * rows(1),
        _ => (0..phases.len()).map(product).sum::<u64>() * rows(u(steps)),
    }
}
