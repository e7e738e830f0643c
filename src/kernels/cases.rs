//! Inputs on which every kernel is compared with its twin: awkward sizes, strides, maps, all cells, all tiles.

use super::{
    Access, ArgmaxParams, FLAT, GatherParams, GemmParams, Kernel, PackParams, Packed, RecurrenceParams, Tile, Variant,
};
use crate::cells::{Cell, Width};
use crate::device::Device;
use crate::error::Result;
use crate::layer;
use crate::plan::{Draft, Plan, Role};
use crate::program::Program;
use crate::tensor::Storage;
use rand_mt::Mt;

/// One dispatch with its data.
pub struct Case {
    /// What is special about it.
    pub name: String,
    pub(crate) variant: Variant,
    /// Largest absolute difference from the twin.
    pub tolerance: f64,
    params: Vec<u32>,
    /// Every binding's words. Indices become constants of the plan, so that its check can see them.
    buffers: Vec<Words>,
}

enum Words {
    Numbers(Vec<f32>),
    Indices(Vec<u32>),
}

impl Words {
    fn bits(&self) -> &[u32] {
        match self {
            Self::Numbers(numbers) => bytemuck::cast_slice(numbers),
            Self::Indices(indices) => indices,
        }
    }
}

/// Rounding of a sum of `terms` products with a sum of absolute values near √terms: the terms' roundings, each at most
/// half an ulp, add up like a random walk, so terms · ε is about eight of its standard deviations; and a few ulp for the
/// activations, whose slopes are at most 1.
fn dot_tolerance(terms: usize) -> f64 {
    (terms + 16) as f64 * f64::from(f32::EPSILON)
}

impl Case {
    /// The kernel, and how it was composed.
    pub fn variant(&self) -> &Variant {
        &self.variant
    }

    /// Why this device can't run it, if it can't.
    pub fn left_out(&self, device: &Device) -> Option<String> {
        let report = device.report()?;
        let tile = self.variant.tile;
        if tile.spread > 0 && !report.has_subgroups_of(tile.spread) {
            return Some(format!("no subgroups of at least {}", tile.spread));
        }
        (tile.lanes > report.limits.invocations).then(|| format!("no workgroups of {}", tile.lanes))
    }

    /// The same with one input off, as a faulty device would read it: weights, what is copied, or what is searched.
    #[cfg(test)]
    pub(crate) fn spoilt(&self) -> Self {
        let copy = |words: &Words| match words {
            Words::Numbers(numbers) => Words::Numbers(numbers.clone()),
            Words::Indices(indices) => Words::Indices(indices.clone()),
        };
        let mut buffers: Vec<_> = self.buffers.iter().map(copy).collect();
        let spoil = |words: &mut Words| {
            if let Words::Numbers(numbers) = words {
                numbers.iter_mut().for_each(|number| *number += 0.25);
            }
        };
        match self.variant.kernel {
            Kernel::Gemm | Kernel::Step | Kernel::Sequence => spoil(&mut buffers[1]),
            Kernel::Pack | Kernel::Gather => spoil(&mut buffers[0]),
            Kernel::Argmax => {
                if let Words::Numbers(values) = &mut buffers[0] {
                    values.reverse();
                }
            }
        }
        Self {
            name: self.name.clone(),
            variant: self.variant.clone(),
            tolerance: self.tolerance,
            params: self.params.clone(),
            buffers,
        }
    }

    /// The plan of one dispatch.
    fn plan(&self) -> (Plan, Vec<(usize, crate::plan::BufferId)>) {
        let mut draft = Draft::default();
        let bindings = self.variant.kernel.row().bindings;
        let ids: Vec<_> = bindings
            .iter()
            .zip(&self.buffers)
            .map(|(&(name, access), words)| {
                let role = match words {
                    Words::Indices(indices) if access == Access::Read => Role::Constant(indices.clone()),
                    _ => Role::External,
                };
                draft.buffer(name, words.bits().len() as u64, role)
            })
            .collect();
        draft.dispatch(self.variant.clone(), ids.clone(), &self.params);
        let externals = ids.into_iter().enumerate();
        let externals = externals.filter(|(_, id)| draft.plan.buffers()[id.0].role == Role::External).collect();
        (draft.plan, externals)
    }

    /// Floating-point operations of its products.
    pub fn flop(&self) -> u64 {
        self.plan().0.flop()
    }

    /// A program of it for benches: runs that dispatch over memory of its own.
    ///
    /// # Errors
    /// What [`PlanBuilder::build`](crate::PlanBuilder::build) gives.
    pub fn program(&self, device: &Device) -> Result<Program> {
        Ok(self.prepare(device)?.0)
    }

    fn prepare(&self, device: &Device) -> Result<(Program, Vec<(usize, Storage)>)> {
        let (plan, externals) = self.plan();
        let mut storages = Vec::new();
        let mut binds = Vec::new();
        for (binding, id) in externals {
            let words = self.buffers[binding].bits();
            let storage = Storage::zeros(device, &plan.buffers()[id.0].name, words.len() as u64)?;
            storage.write(device, words)?;
            binds.push((id, storage.clone()));
            storages.push((binding, storage));
        }
        Ok((Program::new(device, plan, &binds)?, storages))
    }

    /// Runs it; gives every written binding's name and words. Indices come as numbers.
    pub(crate) fn run(&self, device: &Device) -> Result<Vec<(&'static str, Vec<f32>)>> {
        let (program, storages) = self.prepare(device)?;
        program.run()?;
        let bindings = self.variant.kernel.row().bindings;
        let written = storages.into_iter().filter(|(binding, _)| bindings[*binding].1 == Access::Write);
        written
            .map(|(binding, storage)| {
                let words = pollster::block_on(storage.read(device, self.buffers[binding].bits().len()))?;
                let numbers = match self.buffers[binding] {
                    Words::Numbers(_) => words.into_iter().map(f32::from_bits).collect(),
                    Words::Indices(_) => words.into_iter().map(|word| word as f32).collect(),
                };
                Ok((bindings[binding].0, numbers))
            })
            .collect()
    }
}

/// Seeded numbers.
struct Numbers(Mt);

impl Numbers {
    fn new(seed: usize) -> Self {
        Self(Mt::new(seed as u32))
    }

    /// Uniform over ±bound.
    fn uniform(&mut self, count: usize, bound: f32) -> Vec<f32> {
        (0..count).map(|_| (self.0.next_u32() >> 8) as f32 / 8_388_608.0 * bound - bound).collect()
    }

    fn below(&mut self, count: usize, end: usize) -> Vec<u32> {
        (0..count).map(|_| self.0.next_u32() % end as u32).collect()
    }
}

fn poison(count: usize) -> Words {
    Words::Numbers(vec![f32::NAN; count])
}

/// Random packed matrices. Scaled so that a dot with numbers up to 1 stays near 1.
fn packed(numbers: &mut Numbers, layout: Packed, batches: usize) -> Vec<f32> {
    let Packed { rows, columns, panel } = layout;
    let bound = 1.0 / (rows as f32).sqrt();
    let mut words = vec![0.0; batches * layout.words()];
    for words in words.chunks_exact_mut(layout.words()) {
        for (i, value) in numbers.uniform(rows * columns, bound).into_iter().enumerate() {
            let (k, j) = (i / columns, i % columns);
            words[(k / panel * layout.pitch() + j) * panel + k % panel] = value;
        }
        for (j, value) in numbers.uniform(columns, 0.5).into_iter().enumerate() {
            words[(layout.panels() * layout.pitch() + j) * panel] = value;
        }
    }
    words
}

pub(super) fn gemm(device: &Device) -> Vec<Case> {
    let sizes = [(1, 1, 1), (1, 64, 4), (5, 7, 3), (33, 65, 64), (64, 63, 130), (65, 130, 65)];
    let mut cases = Vec::new();
    for tile in layer::tiles(device, Kernel::Gemm) {
        for (i, &(m, n, k)) in sizes.iter().enumerate() {
            // Each form of A and C beside each size, in turn.
            for form in [GemmForm::Plain, GemmForm::Mapped, GemmForm::Transposed, GemmForm::Accumulated] {
                cases.push(gemm_case(tile, 4, (m, n, k), form, 1 + i % 2));
            }
        }
    }
    cases
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum GemmForm {
    Plain,
    Mapped,
    Transposed,
    Accumulated,
}

fn gemm_case(tile: Tile, panel: u32, (m, n, k): (usize, usize, usize), form: GemmForm, batch: usize) -> Case {
    let mut numbers = Numbers::new(m * 1000 + n * 10 + k);
    let transposed = form == GemmForm::Transposed;
    let mapped = form == GemmForm::Mapped;
    // Strides leave gaps, which are NaN: nothing there may be read into a sum.
    let vector = k.is_multiple_of(4) && !transposed;
    let gap = if vector { 4 } else { 3 };
    let (a_row, a_column) = if transposed { (1, m + gap) } else { (k + gap, 1) };
    let a_batch = (m.max(k) + gap) * (m.max(k) + gap) + gap;
    let a_batch = a_batch.next_multiple_of(4);
    let offset = gap;
    let mut a = vec![f32::NAN; offset + batch * a_batch];
    for b in 0..batch {
        for row in 0..m {
            for (j, value) in numbers.uniform(k, 1.0).into_iter().enumerate() {
                a[offset + b * a_batch + row * a_row + j * a_column] = value;
            }
        }
    }
    let layout = Packed { rows: k, columns: n, panel: panel as usize };
    let b = packed(&mut numbers, layout, batch);
    let map = numbers.below(batch * m, m);
    let (c_row, c_batch) = (n + 2, m * (n + 2) + 5);
    let c_words = 1 + batch * c_batch;
    let accumulate = form == GemmForm::Accumulated;
    let c = if accumulate { Words::Numbers(numbers.uniform(c_words, 1.0)) } else { poison(c_words) };
    let params = GemmParams {
        m: m as u32,
        n: n as u32,
        k: k as u32,
        batch: batch as u32,
        a_offset: offset as u32,
        a_row: a_row as u32,
        a_column: a_column as u32,
        a_batch: a_batch as u32,
        b_offset: 0,
        b_batch: layout.vectors() as u32,
        c_offset: 1,
        c_row: c_row as u32,
        c_batch: c_batch as u32,
        mapped: mapped.into(),
        map_offset: 0,
        map_batch: m as u32,
        accumulate: accumulate.into(),
    };
    let tile = if vector { tile } else { Tile { spread: 0, ..tile } };
    let variant = Variant { vector, ..Variant::new(Kernel::Gemm, tile, panel) };
    Case {
        name: format!("{variant} of {batch}x{m}x{n}x{k} {form:?}"),
        variant,
        tolerance: dot_tolerance(k),
        params: params.words(),
        buffers: vec![Words::Numbers(a), Words::Numbers(b), Words::Indices(map), c],
    }
}

pub(super) fn pack(_: &Device) -> Vec<Case> {
    let sizes = [(1, 1), (3, 5), (64, 7), (65, 130)];
    let forms = [(4, false, true), (4, true, false), (1, true, true)];
    // Two rows of the grid at least for the larger ones.
    let case = |(size, form)| pack_case(size, form, 4 * FLAT.lanes);
    sizes.into_iter().flat_map(|size| forms.map(|form| (size, form))).map(case).collect()
}

fn pack_case(
    (rows, columns): (usize, usize),
    (width, transposed, biased): (usize, bool, bool),
    row_lanes: u32,
) -> Case {
    let mut numbers = Numbers::new(rows + columns);
    let pitch = columns + 2;
    let words = (rows.div_ceil(width) + 1) * pitch * width;
    let params = PackParams {
        rows: rows as u32,
        columns: columns as u32,
        pitch: pitch as u32,
        width: width as u32,
        source_offset: 2,
        source_row: if transposed { 1 } else { columns } as u32,
        source_column: if transposed { rows } else { 1 } as u32,
        biased: biased.into(),
        bias_offset: 1,
        packed_offset: 3,
        row_lanes,
    };
    Case {
        name: format!("pack of {rows}x{columns}, width {width}, transposed {transposed}, biased {biased}"),
        variant: Variant::new(Kernel::Pack, FLAT, 4),
        // Copies.
        tolerance: 0.0,
        params: params.words(),
        buffers: vec![
            Words::Numbers(numbers.uniform(2 + rows * columns, 1.0)),
            Words::Numbers(numbers.uniform(1 + columns, 1.0)),
            poison(3 + words),
        ],
    }
}

pub(super) fn gather(_: &Device) -> Vec<Case> {
    let sizes = [(2, 1), (5, 3), (64, 65), (130, 29)];
    let case = |(size, indexed)| gather_case(size, indexed, 2 * FLAT.lanes);
    sizes.into_iter().flat_map(|size| [true, false].map(|indexed| (size, indexed))).map(case).collect()
}

fn gather_case((m, columns): (usize, usize), indexed: bool, row_lanes: u32) -> Case {
    let mut numbers = Numbers::new(m + columns);
    let table_rows = if indexed { 29 } else { m };
    // The last index is beyond the table.
    let mut index = numbers.below(1 + m, table_rows);
    index[m] = table_rows as u32;
    let (table_row, out_row) = (columns + 1, columns + 2);
    let params = GatherParams {
        m: m as u32,
        columns: columns as u32,
        table_rows: table_rows as u32,
        table_offset: 2,
        table_row: table_row as u32,
        indexed: indexed.into(),
        index_offset: 1,
        out_offset: 1,
        out_row: out_row as u32,
        nan: f32::NAN.to_bits(),
        row_lanes,
    };
    Case {
        name: format!("gather of {m}x{columns}, indexed {indexed}"),
        variant: Variant::new(Kernel::Gather, FLAT, 4),
        // Copies.
        tolerance: 0.0,
        params: params.words(),
        buffers: vec![
            Words::Numbers(numbers.uniform(2 + table_rows * table_row, 1.0)),
            Words::Indices(index),
            poison(1 + m * out_row),
        ],
    }
}

pub(super) fn argmax(_: &Device) -> Vec<Case> {
    [(1, 1), (5, 2), (4, 63), (4, 64), (5, 65), (7, 1000)].into_iter().map(argmax_case).collect()
}

fn argmax_case((m, columns): (usize, usize)) -> Case {
    let mut numbers = Numbers::new(m + columns);
    let row = columns + 1;
    // Few different numbers: the first of equals counts. Row 1 has NaNs, row 2 infinities.
    let mut values: Vec<f32> = numbers.below(1 + m * row, 7).iter().map(|&value| value as f32 - 3.0).collect();
    for (line, value) in [(1, f32::NAN), (2, f32::INFINITY), (3, f32::NEG_INFINITY)] {
        if line < m {
            for j in (columns / 2..columns).step_by(3) {
                values[1 + line * row + j] = value;
            }
        }
    }
    let params =
        ArgmaxParams { m: m as u32, columns: columns as u32, values_offset: 1, values_row: row as u32, out_offset: 1 };
    Case {
        name: format!("argmax of {m}x{columns}"),
        variant: Variant::new(Kernel::Argmax, FLAT, 4),
        // Indices.
        tolerance: 0.0,
        params: params.words(),
        buffers: vec![Words::Numbers(values), Words::Indices(vec![u32::MAX; 1 + m])],
    }
}

/// Every cell, an LSTM also with a projection.
fn forms() -> impl Iterator<Item = (Cell, bool)> {
    Cell::ALL.into_iter().map(|cell| (cell, false)).chain([(Cell::Lstm, true)])
}

/// What a cell does and how its sums are tiled are apart in the shaders: each cell is tried with this device's tiles,
/// and one cell with the others. On the CPU all is tried, since no shader is compiled.
fn tiles(device: &Device, kernel: Kernel, cell: Cell) -> Vec<Tile> {
    let mut tiles = layer::tiles(device, kernel);
    if !device.is_cpu() && cell != Cell::Lstm {
        let own = layer::own_tiles(device, kernel);
        tiles.retain(|tile| own.contains(tile));
    }
    tiles
}

pub(super) fn step(device: &Device) -> Vec<Case> {
    let mut cases = Vec::new();
    for (cell, projected) in forms() {
        for (phase, form) in cell.phases(projected).iter().enumerate() {
            for tile in tiles(device, Kernel::Step, cell) {
                let columns = (tile.columns / form.gates as u32).max(1);
                for (batch, units) in [(1, 1), (3, 63), (33, 65)] {
                    let variant = Variant {
                        cell: Some((cell, projected)),
                        phase: phase as u32,
                        ..Variant::new(Kernel::Step, Tile { columns, ..tile }, 4)
                    };
                    cases.push(recurrence_case(variant, batch, units, 1));
                }
            }
        }
    }
    cases
}

pub(super) fn sequence(device: &Device) -> Vec<Case> {
    let mut cases = Vec::new();
    for (cell, projected) in forms() {
        for tile in tiles(device, Kernel::Sequence, cell) {
            for (batch, units, steps, width) in [(1, 1, 1, 64), (3, 33, 5, 64), (9, 130, 3, 192)] {
                // Each width is a shader of its own: the wider one for full tiles only.
                if width > 64 && tile.rows == 1 && tile.lanes < 256 {
                    continue;
                }
                // Within the workgroup memory that every adapter has.
                let rows = tile.rows.min(2048 / width);
                let variant = Variant {
                    cell: Some((cell, projected)),
                    width,
                    ..Variant::new(Kernel::Sequence, Tile { rows, ..tile }, 4)
                };
                cases.push(recurrence_case(variant, batch, units, steps));
            }
        }
    }
    cases
}

/// A layer's second of two directions' worth of states, sequences of falling lengths, all outputs wanted.
fn recurrence_case(variant: Variant, batch: usize, hidden: usize, steps: usize) -> Case {
    let mut numbers = Numbers::new(batch * 1000 + hidden);
    let (cell, projected) = variant.cell.unwrap_or((Cell::Lstm, false));
    let phases = variant.phases();
    let state = if projected { hidden.div_ceil(2) } else { hidden };
    let size = |width: Width| width.of(hidden, state);
    let directions = 2;
    let state_row = directions * batch;
    let states = state_row + directions * batch;
    let gates = cell.gates() * hidden;

    // Rank r runs for steps − r % 2 steps where there are several; in a single step two of three end.
    let lengths: Vec<usize> =
        (0..batch).map(|rank| if 2 * rank >= batch { steps.div_ceil(2) } else { steps }).collect();
    let mut offsets = vec![0];
    for s in 0..steps {
        offsets.push(offsets[s] + lengths.iter().filter(|&&length| length > s).count());
    }
    let rows = offsets[steps];
    offsets.push(rows);
    let next_running = if steps == 1 { batch / 3 } else { 0 };
    let order = (0..batch).rev();
    let mut map: Vec<usize> = (0..rows).chain((0..rows).rev()).collect();
    let (order_at, offsets_at) = (map.len(), map.len() + batch);
    map.extend(order.chain(offsets));

    let mut weights = Vec::new();
    let mut sizes = [[0_usize; 5]; 2];
    let mut gate = 0;
    for (sizes, phase) in sizes.iter_mut().zip(phases) {
        let (units, k) = (size(phase.units), size(phase.source));
        let columns = phase.gates * units;
        let layout = Packed { rows: k, columns, panel: variant.panel as usize };
        *sizes = [units, layout.panels(), weights.len() / layout.panel, layout.vectors(), gate];
        weights.extend(packed(&mut numbers, layout, directions));
        gate += columns;
    }

    let (source, target) = if variant.kernel == Kernel::Step {
        let phase = &phases[variant.phase as usize];
        // The first phase reads the state, a second one what the first wrote.
        (size(phase.source), size(phase.units))
    } else {
        (state, state)
    };
    let [source_width, target_width] = [source, target].map(|width| width.next_multiple_of(4));
    let mut h_in = numbers.uniform(states * source_width, 1.0);
    for row in h_in.chunks_exact_mut(source_width) {
        row[source..].fill(0.0);
    }
    let slots = phases.iter().map(|phase| phase.slots).max().unwrap_or(0);
    let final_width = state.next_multiple_of(4);
    let params = RecurrenceParams {
        batch: batch as u32,
        directions: directions as u32,
        state_row: state_row as u32,
        x_row: 1,
        x_direction: ((rows + 1) * gates) as u32,
        x_stride: gates as u32,
        map_row: 0,
        map_direction: rows as u32,
        order: order_at as u32,
        offsets: offsets_at as u32,
        steps: steps as u32,
        running: batch as u32,
        next_running: next_running as u32,
        h_in_stride: (source_width / 4) as u32,
        h_out_stride: target_width as u32,
        final_stride: final_width as u32,
        y_stride: (directions * state) as u32,
        y_offset: 2,
        aux_stride: (slots * hidden) as u32,
        ..RecurrenceParams::of_phases(sizes)
    };
    let tolerance = dot_tolerance(hidden) * steps as f64;
    Case {
        name: format!("{variant} of N {batch}, H {hidden}, T {steps}"),
        variant,
        tolerance,
        params: params.words(),
        buffers: vec![
            Words::Numbers(numbers.uniform((1 + directions * (rows + 1)) * gates, 1.0)),
            Words::Numbers(weights),
            Words::Indices(map.into_iter().map(|index| index as u32).collect()),
            Words::Numbers(h_in),
            poison(states * target_width),
            Words::Numbers(numbers.uniform((states * slots * hidden).max(1), 1.0)),
            poison(2 + rows * directions * state),
            poison(states * final_width),
        ],
    }
}

/// Cases large enough to time, with the tiles and the packing that the device uses.
pub(super) fn bench(kernel: Kernel, device: &Device) -> Vec<Case> {
    let cell = Some((Cell::Lstm, false));
    match kernel {
        Kernel::Gemm => {
            vec![gemm_case(layer::gemm_tile(device, 512), device.panel(), (512, 1024, 256), GemmForm::Plain, 1)]
        }
        Kernel::Pack => vec![pack_case((256, 1024), (4, true, true), 1 << 15)],
        Kernel::Gather => vec![gather_case((2048, 256), true, 1 << 15)],
        Kernel::Argmax => vec![argmax_case((64, 1000))],
        Kernel::Step => {
            let tile = layer::step_tile(device, 4, 32);
            vec![recurrence_case(Variant { cell, ..Variant::new(kernel, tile, device.panel()) }, 32, 256, 1)]
        }
        Kernel::Sequence => {
            let tile = Tile { rows: 8, ..layer::own_tiles(device, kernel)[0] };
            vec![recurrence_case(Variant { cell, width: 64, ..Variant::new(kernel, tile, device.panel()) }, 8, 64, 64)]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where twin and shader both wrote nothing, their NaNs would compare as equal.
    #[test]
    fn every_case_writes_numbers_into_every_output() {
        for case in Kernel::ALL.iter().flat_map(|kernel| (kernel.row().cases)(&Device::cpu())) {
            let variant = &case.variant;
            let unfinished = variant.kernel == Kernel::Step && variant.phase as usize + 1 < variant.phases().len();
            for (binding, words) in case.run(&Device::cpu()).unwrap() {
                // Only a step's last phase has an output.
                if unfinished && ["y", "h_final"].contains(&binding) {
                    continue;
                }
                assert!(words.iter().any(|word| !word.is_nan()), "{}: {binding} is NaN all over", case.name);
            }
        }
    }
}
