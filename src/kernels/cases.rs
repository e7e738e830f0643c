//! Inputs on which every kernel is compared with its twin: awkward sizes, strides, maps, all cells, all tiles.

use super::{
    ALONE, Access, AdamParams, ApplyParams, ArgmaxParams, BackwardParams, Cooperative, CrossEntropyParams,
    DropoutParams, ElementLossParams, FLAT, Function, GatherParams, GemmParams, GuardParams, Kernel, LinksParams,
    MasksParams, NormParams, OuterParams, PackParams, Packed, PhaseParams, RecurrenceParams, ReduceParams, STAGED,
    ScanParams, ScatterAddParams, SettleParams, SgdParams, Tile, Variant, WINDOW, WINDOW_ALIGNMENT, exchange_words,
};
use crate::cells::{Activation, Cell, Form, Width};
use crate::cpu::{halves, write_halves};
use crate::device::{self, Device};
use crate::error::Result;
use crate::layer;
use crate::plan::Program;
use crate::plan::{Draft, Plan, Role};
use crate::tensor::Storage;
use rand_mt::Mt;

/// One dispatch with its data.
#[derive(Clone)]
pub struct Case {
    /// What is special about it.
    pub name: String,
    pub(crate) variant: Variant,
    /// Largest absolute difference from the twin.
    pub tolerance: f64,
    params: Vec<u32>,
    /// First word of the rows that are multiplied, where these are read through a window.
    window: u64,
    /// Every binding's words. Indices become constants of the plan, so that its check can see them.
    buffers: Vec<Words>,
}

#[derive(Clone)]
enum Words {
    Numbers(Vec<f32>),
    /// Two a word.
    Halves(Vec<f32>),
    Indices(Vec<u32>),
}

impl Words {
    fn bits(&self) -> &[u32] {
        match self {
            Self::Numbers(numbers) | Self::Halves(numbers) => bytemuck::cast_slice(numbers),
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
        if self.variant.cooperative.is_some() && device.cooperative(tile.lanes) != self.variant.cooperative {
            return Some("no such units for small matrices".to_owned());
        }
        let lanes = self.variant.invocations();
        (lanes > report.limits.invocations).then(|| format!("no workgroups of {lanes}"))
    }

    /// The same with its workgroups spread over two axes, so many along the first, where the kernel can.
    #[doc(hidden)]
    pub fn wrapped(&self, along: u32) -> Option<Self> {
        self.variant.kernel.wraps()?;
        Some(Self {
            name: format!("{}, wrapped", self.name),
            variant: Variant { wrapped: along, ..self.variant.clone() },
            ..self.clone()
        })
    }

    /// The same with one input off, as a faulty device would read it: weights, what is copied, or what is searched.
    #[cfg(test)]
    pub(crate) fn spoilt(&self) -> Self {
        let mut case = self.clone();
        let buffers = &mut case.buffers;
        let spoil = |words: &mut Words| match words {
            Words::Numbers(numbers) => numbers.iter_mut().for_each(|number| *number += 0.25),
            Words::Halves(words) => {
                let numbers: Vec<_> = halves(words).into_iter().map(|number| number + 0.25).collect();
                write_halves(&numbers, words);
            }
            Words::Indices(_) => {}
        };
        match self.variant.kernel {
            Kernel::Gemm | Kernel::Step | Kernel::Sequence | Kernel::Grid | Kernel::Wave => spoil(&mut buffers[1]),
            Kernel::Outer | Kernel::StepBackward | Kernel::SequenceBackward => spoil(&mut buffers[1]),
            Kernel::Pack
            | Kernel::Gather
            | Kernel::Apply
            | Kernel::ScatterAdd
            | Kernel::ElementLoss
            | Kernel::Sgd
            | Kernel::Adam => spoil(&mut buffers[0]),
            // A number added to all that is normed together is no matter: gains are off.
            Kernel::NormStep | Kernel::NormStepBackward => spoil(&mut buffers[1]),
            Kernel::Dropout | Kernel::Guard => spoil(&mut buffers[1]),
            // Another step.
            Kernel::Masks => {
                if let Words::Indices(seed) = &mut buffers[0] {
                    seed[1] += 1;
                }
            }
            Kernel::Scan | Kernel::ScanBackward => spoil(&mut buffers[0]),
            // Counts do not heed small changes: everything is masked.
            Kernel::Reduce => {
                if let Words::Numbers(values) = &mut buffers[0] {
                    values.fill(f32::from_bits(u32::MAX));
                }
            }
            // Whether it was stopped.
            Kernel::Settle => {
                if let Words::Numbers(exchange) = &mut buffers[0] {
                    exchange[0] = f32::from_bits(1 - exchange[0].to_bits());
                }
            }
            // All of them on one list.
            Kernel::Links => {
                if let Words::Indices(index) = &mut buffers[0] {
                    index.fill(1);
                }
            }
            // Adding a number to all logits of a row changes nothing: a target is off.
            Kernel::CrossEntropy => {
                if let Words::Indices(targets) = &mut buffers[1] {
                    targets.iter_mut().for_each(|target| *target = if *target == 0 { u32::MAX } else { 0 });
                }
            }
            Kernel::Argmax => {
                if let Words::Numbers(values) = &mut buffers[0] {
                    values.reverse();
                }
            }
        }
        case
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
        draft.dispatch_window(self.variant.clone(), ids.clone(), self.window, &self.params);
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
            let storage = self.storage(device, binding, &plan.buffers()[id.0].name)?;
            storage.write(device, words)?;
            binds.push((id, storage.clone()));
            storages.push((binding, storage));
        }
        Ok((Program::new(device, plan, &binds)?, storages))
    }

    /// Memory of the kind that the variant reads.
    fn storage(&self, device: &Device, binding: usize, name: &str) -> Result<Storage> {
        let words = self.buffers[binding].bits().len() as u64;
        let texture = match self.variant.kernel.row().bindings[binding].1 {
            Access::Matrix if self.variant.texture => Storage::texture(device, name, words, self.variant.half)?,
            Access::Rows if self.variant.uniform => return Storage::windowed(device, name, words),
            _ => None,
        };
        texture.map_or_else(|| Storage::zeros(device, name, words), Ok)
    }

    /// Whether it is a product added to what C holds.
    fn accumulates(&self) -> bool {
        self.variant.kernel == Kernel::Gemm && matches!(&self.buffers[3], Words::Numbers(c) if !c[0].is_nan())
    }

    /// The same whose sums so many lanes share; none where workgroups would be too large.
    pub(crate) fn split(&self, split: u32) -> Option<Self> {
        let variant = Variant { split, ..self.variant.clone() };
        let name = format!("{}, split {split}", self.name);
        (variant.invocations() <= 256 && variant.workgroup_bytes() <= 16 << 10).then(|| Self {
            variant,
            name,
            ..self.clone()
        })
    }

    /// The same through workgroup memory.
    fn staged(mut self) -> Self {
        self.variant.staged = true;
        self.name = format!("{}, staged", self.name);
        self
    }

    /// The same by units for small matrices: those of this device; on the CPU, which compiles no shader, one of each kind.
    fn by_units(&self, device: &Device, rows: usize, narrow: bool) -> Vec<Self> {
        let all = if device.is_cpu() {
            // Tensor cores by 32 and 64 lanes, simdgroup matrices.
            [(16, 32), (16, 64), (8, 32)]
                .map(|(edge, lanes)| {
                    self.variant.cooperative(|all| Some(Cooperative { edge, subgroups: (all / lanes).max(1) }), rows)
                })
                .into()
        } else {
            vec![self.variant.by_units(device, rows)]
        };
        all.into_iter().flatten().map(|variant| Self { variant, ..self.clone() }.in_half(narrow)).collect()
    }

    /// The same with matrix and rows read in another way; none where the rows are more than a window.
    fn read_by(&self, texture: bool, uniform: bool) -> Option<Self> {
        let mut case = self.clone();
        case.variant = Variant { texture, uniform, ..case.variant };
        if uniform {
            let rows = self.variant.kernel.row().bindings.iter().position(|binding| binding.1 == Access::Rows)?;
            let Words::Numbers(rows) = &mut case.buffers[rows] else { return None };
            // The window begins behind what must not be read.
            case.window = WINDOW_ALIGNMENT;
            rows.splice(0..0, std::iter::repeat_n(f32::NAN, WINDOW_ALIGNMENT as usize));
            if rows.len() > (WINDOW as usize) || !self.variant.vector && self.variant.kernel == Kernel::Gemm {
                return None;
            }
        }
        case.name = format!("{}, read by {}", self.name, case.variant);
        Some(case)
    }

    /// The same with the matrix in half precision, and with the input part of the gates in it too.
    fn in_half(&self, narrow: bool) -> Self {
        let mut case = self.clone();
        case.variant = Variant { half: true, narrow, ..case.variant };
        match &mut case.buffers[2] {
            // What lies before a packed matrix is as many words in either precision.
            Words::Numbers(packed) if self.variant.kernel == Kernel::Pack => packed.extend([f32::NAN; 3]),
            _ if narrow && self.variant.kernel == Kernel::Gemm => case.with_narrow_rows(),
            _ => {}
        }
        for (binding, words) in case.buffers.iter_mut().enumerate() {
            if let Words::Numbers(numbers) = words
                && case.variant.holds_halves(binding)
            {
                let mut halves = vec![0.0; numbers.len().div_ceil(2)];
                write_halves(numbers, &mut halves);
                *words = Words::Halves(halves);
            }
        }
        case.name = format!("{}, by {}", self.name, case.variant);
        case
    }

    /// C of `gemm` in rows of pairs, of which it writes whole ones; results may be rounded to one half or the next.
    fn with_narrow_rows(&mut self) {
        let p: GemmParams = bytemuck::pod_read_unaligned(bytemuck::cast_slice(&self.params));
        let [c_row, c_batch] = [p.c_row.next_multiple_of(2), (p.m * (p.c_row + 1) + 5).next_multiple_of(2)];
        let mut c = vec![f32::NAN; (2 + p.batch * c_batch) as usize];
        if !p.n.is_multiple_of(2) {
            for (batch, row) in (0..p.batch).flat_map(|batch| (0..p.m).map(move |row| (batch, row))) {
                c[(2 + batch * c_batch + row * c_row + p.n) as usize] = 0.0;
            }
        }
        self.buffers[3] = Words::Numbers(c);
        self.params = GemmParams { c_offset: 2, c_row, c_batch, ..p }.words();
        // Halves from 4 to 8 are 2⁻⁸ apart.
        self.tolerance += 1.0 / 256.0;
    }

    /// Runs it; gives every written binding's name and words. Indices come as numbers.
    pub(crate) async fn run(&self, device: &Device) -> Result<Vec<(&'static str, Vec<f32>)>> {
        let (program, storages) = self.prepare(device)?;
        program.run()?;
        let bindings = self.variant.kernel.row().bindings;
        let written = storages.into_iter().filter(|(binding, _)| bindings[*binding].1 == Access::Write);
        let mut outputs = Vec::new();
        for (binding, storage) in written {
            let words = storage.read(device, self.buffers[binding].bits().len()).await?;
            let numbers = match self.buffers[binding] {
                Words::Numbers(_) => words.into_iter().map(f32::from_bits).collect(),
                Words::Halves(_) => halves(bytemuck::cast_slice(&words)),
                Words::Indices(_) => words.into_iter().map(|word| word as f32).collect(),
            };
            outputs.push((bindings[binding].0, numbers));
        }
        Ok(outputs)
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
    let bound = 1.0 / (rows.max(1) as f32).sqrt();
    let mut words = vec![0.0; batches * layout.words()];
    for words in words.chunks_exact_mut(layout.words()) {
        for (i, value) in numbers.uniform(rows * columns, bound).into_iter().enumerate() {
            let (k, j) = (i / columns, i % columns);
            words[(k / panel * layout.pitch() + j) * panel + k % panel] = value;
        }
        for (j, value) in numbers.uniform(columns, 0.5).into_iter().enumerate() {
            words[(layout.panels() * layout.pitch() + j) * panel] = value;
        }
        // What follows a bias counts in half precision only.
        for (j, value) in numbers.uniform(if panel > 1 { columns } else { 0 }, 0.5).into_iter().enumerate() {
            words[layout.bias(j) + 1] = value;
        }
    }
    words
}

pub(super) fn gemm(device: &Device) -> Vec<Case> {
    let sizes = [(1, 1, 1), (1, 64, 4), (5, 7, 3), (33, 65, 64), (64, 63, 130), (65, 130, 65)];
    let mut cases = Vec::new();
    for tile in device::tiles(device, Kernel::Gemm) {
        for (i, &(m, n, k)) in sizes.iter().enumerate() {
            // Each form of A and C beside each size, in turn.
            for form in GemmForm::ALL {
                cases.push(gemm_case(tile, 4, (m, n, k), form, 1 + i % 2));
            }
        }
    }
    for tile in STAGED {
        for (i, &(m, n, k)) in [(1, 1, 4), (70, 130, 64), (129, 65, 132)].iter().enumerate() {
            for form in [GemmForm::Plain, GemmForm::Mapped, GemmForm::Scattered, GemmForm::Accumulated] {
                cases.push(gemm_case(tile, 4, (m, n, k), form, 1 + i % 2).staged());
            }
        }
    }
    in_all_forms(device, cases).into_iter().chain(cooperative_products(device)).collect()
}

/// Beside each case the same with matrix and rows read in another way, of which there are three, in turn: for the tiles
/// of this device, and a cell for all.
fn in_all_forms(device: &Device, cases: Vec<Case>) -> Vec<Case> {
    let forms = [(true, false), (false, true), (true, true)];
    let mut all = Vec::new();
    for (i, case) in cases.into_iter().enumerate() {
        let Variant { kernel, tile, cell, keep, .. } = case.variant;
        let own = device::own_tiles(device, kernel).iter().any(|own| (own.rows, own.lanes) == (tile.rows, tile.lanes));
        if (own || device.is_cpu()) && cell.is_none_or(|form| form == Form::new(Cell::Lstm, false)) && !keep {
            let (texture, uniform) = forms[i % forms.len()];
            all.extend(case.read_by(texture, uniform));
            if case.variant.panel > 1 && tile.spread == 0 {
                // Textures convert halves themselves.
                let half = case.in_half(i % 2 == 0 && kernel != Kernel::StepBackward && !case.accumulates());
                all.extend(if i % 3 == 0 { half.read_by(true, false) } else { Some(half) });
            }
        }
        all.push(case);
    }
    all
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum GemmForm {
    Plain,
    /// Rows of A by a map.
    Mapped,
    /// Rows of C by a part of a map.
    Scattered,
    Transposed,
    Accumulated,
}

impl GemmForm {
    const ALL: [Self; 5] = [Self::Plain, Self::Mapped, Self::Scattered, Self::Transposed, Self::Accumulated];
}

fn gemm_case(tile: Tile, panel: u32, (m, n, k): (usize, usize, usize), form: GemmForm, batch: usize) -> Case {
    let mut numbers = Numbers::new(m * 1000 + n * 10 + k);
    let transposed = form == GemmForm::Transposed;
    let mapped = form == GemmForm::Mapped;
    // Strides leave gaps, which are NaN: nothing there may be read into a sum.
    let vector = k.is_multiple_of(4) && !transposed;
    let gap = if vector { 4 } else { 3 };
    let (a_row, a_column) = if transposed { (1, m + gap) } else { (k + gap, 1) };
    let a_batch = if transposed { k * a_column } else { m * a_row } + gap;
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
    let scattered = form == GemmForm::Scattered;
    // The part of the map that holds the rows begins with its third word: its ends are told after the rows.
    let mut map = if scattered {
        let rows =
            (0..batch).flat_map(|b| [0; 2].into_iter().chain((0..m).map(move |i| (i + b) % m)).map(|i| i as u32));
        rows.collect()
    } else {
        numbers.below(batch * m, m)
    };
    let ends = map.len();
    map.extend([2, 2 + m as u32]);
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
        mapped: if scattered { 2 } else { mapped.into() },
        map_offset: 0,
        map_batch: (m + if scattered { 2 } else { 0 }) as u32,
        accumulate: accumulate.into(),
        first: ends as u32,
        end: (ends + usize::from(scattered)) as u32,
    };
    let tile = if vector { tile } else { Tile { spread: 0, ..tile } };
    let variant = Variant { vector, ..Variant::new(Kernel::Gemm, tile, panel) };
    Case {
        name: format!("{variant} of {batch}x{m}x{n}x{k} {form:?}"),
        variant,
        tolerance: dot_tolerance(k),
        params: params.words(),
        window: 0,
        buffers: vec![Words::Numbers(a), Words::Numbers(b), Words::Indices(map), c],
    }
}

pub(super) fn pack(_: &Device) -> Vec<Case> {
    let sizes = [(1, 1), (3, 5), (64, 7), (65, 130)];
    let forms = [(4, false, true), (4, true, false), (1, true, true)];
    // Two rows of the grid at least for the larger ones.
    let case = |(size, form)| pack_case(size, form, 4 * FLAT.lanes);
    let cases: Vec<_> = sizes.into_iter().flat_map(|size| forms.map(|form| (size, form))).map(case).collect();
    let halves: Vec<_> = cases.iter().filter(|case| case.params[3] == 4).map(|case| case.in_half(false)).collect();
    cases.into_iter().chain(halves).collect()
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
        window: 0,
        buffers: vec![
            Words::Numbers(numbers.uniform(2 + rows * columns, 1.0)),
            Words::Numbers(numbers.uniform(1 + columns, 1.0)),
            poison(3 + words),
        ],
    }
}

pub(super) fn gather(_: &Device) -> Vec<Case> {
    let sizes = [(2, 1), (5, 3), (64, 65), (130, 29)];
    let forms = [(true, false), (false, false), (false, true)];
    let case = |(size, form)| gather_case(size, form, 2 * FLAT.lanes);
    sizes.into_iter().flat_map(|size| forms.map(|form| (size, form))).map(case).collect()
}

fn gather_case((m, columns): (usize, usize), (indexed, accumulate): (bool, bool), row_lanes: u32) -> Case {
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
        accumulate: accumulate.into(),
        row_lanes,
    };
    let words = 1 + m * out_row;
    Case {
        name: format!("gather of {m}x{columns}, indexed {indexed}, accumulated {accumulate}"),
        variant: Variant::new(Kernel::Gather, FLAT, 4),
        // Copies, or one sum.
        tolerance: 0.0,
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(numbers.uniform(2 + table_rows * table_row, 1.0)),
            Words::Indices(index),
            if accumulate { Words::Numbers(numbers.uniform(words, 1.0)) } else { poison(words) },
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
        window: 0,
        buffers: vec![Words::Numbers(values), Words::Indices(vec![u32::MAX; 1 + m])],
    }
}

/// An LSTM as it usually is, with projection or without: the cell that is tried in every way.
fn is_thorough(form: &Form) -> bool {
    form.cell == Cell::Lstm && form.is_usual()
}

/// What a cell does and how its sums are tiled are apart in the shaders: each cell is tried with this device's tiles,
/// and one cell with the others. On the CPU all is tried, since no shader is compiled.
fn tiles(device: &Device, kernel: Kernel, form: &Form) -> Vec<Tile> {
    let mut tiles = device::tiles(device, kernel);
    if !device.is_cpu() && !is_thorough(form) {
        let own = device::own_tiles(device, kernel);
        tiles.retain(|tile| own.contains(tile));
    }
    tiles
}

/// Lanes that share sums, for one cell: how sums are made is no matter of the cell's mathematics.
fn splits(form: Form) -> impl Iterator<Item = (Tile, u32)> {
    let tile = |rows| Tile { rows, columns: 1, lanes: 32, spread: 0 };
    let tiles = [(tile(4), 4), (tile(1), 8), (Tile { columns: 2, lanes: 16, ..tile(2) }, 3)];
    tiles.into_iter().filter(move |_| is_thorough(&form))
}

/// The forms of cells that a kernel computes with.
fn forms(kernel: Kernel) -> impl Iterator<Item = Form> {
    let backward = matches!(kernel, Kernel::StepBackward | Kernel::SequenceBackward);
    let scans = matches!(kernel, Kernel::Scan | Kernel::ScanBackward);
    let norms = matches!(kernel, Kernel::NormStep | Kernel::NormStepBackward);
    // Nothing is kept by these, and recurrent dropout is a matter of what is kept.
    let forward = matches!(kernel, Kernel::Grid | Kernel::Wave);
    Form::all().filter(move |form| {
        let of_kernel = (form.cell.scan().is_some(), form.norm().is_some()) == (scans, norms);
        of_kernel && (!backward || form.trains()) && !(forward && form.options.recurrent_dropout.is_some())
    })
}

/// Every phase of every cell by `step` or its backward half.
fn steps(device: &Device, kernel: Kernel) -> Vec<Variant> {
    let mut variants = Vec::new();
    for form in forms(kernel) {
        for (i, phase) in form.phases().iter().enumerate() {
            for tile in tiles(device, kernel, &form) {
                let sums = if kernel == Kernel::Step { phase.gates as u32 } else { 1 };
                variants.push(Variant {
                    cell: Some(form),
                    phase: i as u32,
                    ..Variant::new(kernel, Tile { columns: (tile.columns / sums).max(1), ..tile }, 4)
                });
            }
            variants.extend(splits(form).map(|(tile, split)| Variant {
                cell: Some(form),
                phase: i as u32,
                split,
                ..Variant::new(kernel, tile, 4)
            }));
        }
    }
    variants
}

/// A variant, and the same keeping what training needs, which is tried with one tile only: the two are apart too.
fn keeps(device: &Device, variant: Variant) -> Vec<Variant> {
    let own = device::own_tiles(device, variant.kernel)[0];
    let keep = form_of(&variant).trains() && (variant.tile.lanes, variant.tile.spread) == (own.lanes, own.spread);
    let keeping = Variant { keep, ..variant.clone() };
    let drops = form_of(&variant).options.recurrent_dropout.is_some();
    match keep {
        true if drops => vec![keeping],
        true => vec![variant, keeping],
        false => vec![variant],
    }
}

pub(super) fn step(device: &Device) -> Vec<Case> {
    let sizes = [(1, 1), (3, 63), (33, 65)];
    let variants = steps(device, Kernel::Step).into_iter().flat_map(|variant| keeps(device, variant));
    let cases = variants.flat_map(|v| sizes.map(|(batch, units)| recurrence_case(v.clone(), batch, units, 1)));
    let all = in_all_forms(device, cases.collect());
    // By units nothing is kept.
    let forms = forms(Kernel::Step).filter(|form| form.options.recurrent_dropout.is_none());
    all.into_iter().chain(forms.flat_map(|form| cooperative_steps(device, form))).collect()
}

/// Phases of a cell by units for small matrices.
fn cooperative_steps(device: &Device, form: Form) -> Vec<Case> {
    let phases = (0..form.phases().len() as u32).flat_map(|phase| [(3, 63), (33, 65)].map(|size| (phase, size)));
    let cases = phases.flat_map(|(phase, (batch, units))| {
        let variant = Variant { cell: Some(form), phase, ..Variant::new(Kernel::Step, FLAT, 4) };
        recurrence_case(variant, batch, units, 1).by_units(device, batch, true)
    });
    cases.collect()
}

/// The product of the input part by units for small matrices: less than a tile, and more.
fn cooperative_products(device: &Device) -> Vec<Case> {
    let mut cases = Vec::new();
    for (i, &(m, n, k)) in [(1, 1, 4), (70, 130, 64), (129, 65, 132)].iter().enumerate() {
        for form in [GemmForm::Plain, GemmForm::Mapped, GemmForm::Scattered, GemmForm::Accumulated] {
            let case = gemm_case(FLAT, 4, (m, n, k), form, 1 + i % 2);
            let narrow = form != GemmForm::Accumulated && i != 1;
            for case in case.by_units(device, m, narrow) {
                cases.extend(case.read_by(true, false));
                cases.push(case);
            }
        }
    }
    cases
}

/// What has to be right before a device's units for small matrices are used.
pub(crate) fn cooperative_cases(device: &Device) -> Vec<Case> {
    let cells = [
        Cell::Elman(crate::cells::Activation::Tanh),
        Cell::Gru(crate::cells::Reset::Before),
        Cell::Gru(crate::cells::Reset::After),
        Cell::Lstm,
    ];
    let steps = cells.into_iter().flat_map(|cell| cooperative_steps(device, Form::new(cell, false)));
    // The last ones are those of the largest sizes.
    cooperative_products(device).into_iter().rev().step_by(5).chain(steps).collect()
}

pub(super) fn step_backward(device: &Device) -> Vec<Case> {
    let sizes = [(1, 1), (3, 63), (33, 65)];
    let variants = steps(device, Kernel::StepBackward).into_iter();
    let cases = variants.flat_map(|v| sizes.map(|(batch, units)| backward_case(v.clone(), batch, units, 1)));
    in_all_forms(device, cases.collect())
}

/// Every cell, by tiles and sizes: variant, batch, units, steps.
fn sequences(device: &Device, kernel: Kernel) -> Vec<(Variant, usize, usize, usize)> {
    let mut cases = Vec::new();
    for form in forms(kernel) {
        for tile in tiles(device, kernel, &form) {
            for (batch, units, steps, wide) in [(1, 1, 1, false), (3, 33, 5, false), (9, 130, 3, true)] {
                // A row of gates' gradients is as wide as the most gates of a phase.
                let gates = if kernel == Kernel::Sequence { 1 } else { form.gates() as u32 };
                let width = if wide { 192 } else { 64 } * gates;
                // Each width is a shader of its own: the wider one for full tiles only.
                if wide && tile.rows == 1 && tile.lanes < 256 {
                    continue;
                }
                // Within the workgroup memory that every adapter has.
                let rows = tile.rows.min(1 << (2048 / width).ilog2());
                let variant = Variant { cell: Some(form), width, ..Variant::new(kernel, Tile { rows, ..tile }, 4) };
                cases.push((variant, batch, units, steps));
            }
        }
    }
    cases
}

pub(super) fn sequence(device: &Device) -> Vec<Case> {
    let case = |(variant, batch, units, steps): (Variant, usize, usize, usize)| {
        keeps(device, variant).into_iter().map(move |variant| recurrence_case(variant, batch, units, steps))
    };
    let resident = residents().into_iter().flat_map(|(variant, batch, units, steps)| {
        let form = form_of(&variant);
        let drops = form.options.recurrent_dropout.is_some();
        let keeps = [false, true].into_iter().filter(|keep| if *keep { form.trains() } else { !drops });
        keeps.map(|keep| recurrence_case(Variant { keep, ..variant.clone() }, batch, units, steps)).collect::<Vec<_>>()
    });
    in_half_too(sequences(device, Kernel::Sequence).into_iter().flat_map(case).chain(resident).collect())
}

/// Cells with one product a step whose weights stay in their lanes.
fn residents() -> Vec<(Variant, usize, usize, usize)> {
    let forms = forms(Kernel::Sequence).filter(|form| form.phases().len() == 1);
    let of_form = |form: Form| {
        let sizes = [(1, 1, 8, 1, 2), (3, 29, 32, 2, 5), (5, 65, 128, 4, 3)];
        // The largest one for one cell only: it takes longest to compile.
        let sizes = sizes.into_iter().filter(move |size| size.2 < 64 || is_thorough(&form));
        sizes.map(move |(batch, units, width, rows, steps)| {
            let tile = Tile { rows, columns: 1, lanes: width, spread: 8 };
            let variant =
                Variant { cell: Some(form), width, resident: true, ..Variant::new(Kernel::Sequence, tile, 4) };
            (variant, batch, units, steps)
        })
    };
    forms.flat_map(of_form).collect()
}

/// Beside one case of a cell with one phase and of one with two the same in half precision: how weights are read is no
/// matter of the cell's mathematics.
fn in_half_too(cases: Vec<Case>) -> Vec<Case> {
    let mut seen = Vec::new();
    let mut first = |case: &&Case| {
        let one_of_each = [false, true].map(|projected| Form::new(Cell::Lstm, projected));
        let key = (case.variant.cell, case.variant.keep);
        let is_new = case.variant.cell.is_some_and(|form| one_of_each.contains(&form)) && !seen.contains(&key);
        seen.push(key);
        is_new
    };
    let narrow = |case: &Case| !case.variant.keep && case.variant.kernel != Kernel::SequenceBackward;
    let halves: Vec<_> = cases.iter().filter(&mut first).map(|case| case.in_half(narrow(case))).collect();
    cases.into_iter().chain(halves).collect()
}

/// Each cell with one workgroup a direction, and with two that have no values in common: those need no others.
pub(super) fn grid(device: &Device) -> Vec<Case> {
    let mut cases = Vec::new();
    for form in forms(Kernel::Grid) {
        for tile in tiles(device, Kernel::Grid, &form).into_iter().filter(|tile| tile.spread == 0) {
            for (batch, units, steps) in [(1, 1, 1), (3, 29, 5), (7, 30, 3)] {
                let variant = Variant { cell: Some(form), width: 32, ..Variant::new(Kernel::Grid, tile, 4) };
                cases.push(recurrence_case(variant, batch, units, steps));
            }
        }
    }
    in_half_too(cases)
}

/// The beginning of a stack of three layers, its middle and its end; alone and together.
pub(super) fn wave(device: &Device) -> Vec<Case> {
    let mut cases = Vec::new();
    for form in forms(Kernel::Wave).filter(|form| form.phases().len() == 1 && !form.options.peepholes) {
        let gates = form.gates() as u32;
        // One of this device's tiles for each cell, all of them and others' for one.
        let all = tiles(device, Kernel::Wave, &form);
        let count = if device.is_cpu() || is_thorough(&form) { all.len() } else { 1 };
        for tile in all.into_iter().take(count) {
            let tile = Tile { columns: (tile.columns / gates).max(1), ..tile };
            let variant = Variant { cell: Some(form), ..Variant::new(Kernel::Wave, tile, 4) };
            for (batch, units, layers) in [(1, 1, 0..1), (3, 63, 0..3), (33, 65, 1..3), (5, 20, 2..3)] {
                cases.push(wave_case(variant.clone(), batch, units, layers));
            }
        }
        for (tile, split) in splits(form) {
            let variant = Variant { cell: Some(form), split, ..Variant::new(Kernel::Wave, tile, 4) };
            cases.push(wave_case(variant, 7, 65, 0..3));
        }
    }
    in_all_forms(device, cases)
}

/// Some layers of a stack of three, each with a step of its own.
fn wave_case(variant: Variant, batch: usize, hidden: usize, layers: std::ops::Range<usize>) -> Case {
    const LAYERS: usize = 3;
    let mut numbers = Numbers::new(batch * 1000 + hidden);
    let gates = form_of(&variant).gates() * hidden;
    let count = layers.len();
    // The lowest layer is at the last of these steps, the topmost at the first.
    let rows = Rows::new(batch, count, 1);
    let layout = Packed { rows: hidden, columns: gates, panel: variant.panel as usize };
    let weights = packed(&mut numbers, layout, 2 * LAYERS - 1);
    let width = hidden.next_multiple_of(4);
    let states = LAYERS * batch;
    let mut h_in = numbers.uniform(states * width, 1.0);
    for row in h_in.chunks_exact_mut(width) {
        row[hidden..].fill(0.0);
    }
    let slots = variant.phases()[0].slots;
    let stride = gates + 1;
    let sizes = PhaseParams {
        units: hidden,
        panels: layout.panels(),
        weights: 0,
        weights_direction: layout.vectors(),
        column: 1,
    };
    let params = RecurrenceParams {
        batch: batch as u32,
        directions: count as u32,
        x_stride: stride as u32,
        order: rows.order as u32,
        offsets: (rows.offsets + count - 1) as u32,
        chunk: rows.chunk() as u32,
        steps: 1,
        running: rows.running as u32,
        h_in_stride: (width / 4) as u32,
        h_out_stride: width as u32,
        final_stride: width as u32,
        y_stride: (hidden + 3) as u32,
        y_offset: 2,
        aux_stride: (slots * hidden) as u32,
        layer: layers.start as u32,
        last: LAYERS as u32 - 1,
        ..RecurrenceParams::of_phases([sizes, PhaseParams::default()])
    };
    Case {
        name: format!("{variant} of layers {layers:?}, N {batch}, H {hidden}"),
        tolerance: dot_tolerance(2 * hidden),
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(numbers.uniform(rows.rows * stride, 1.0)),
            Words::Numbers(weights),
            Words::Indices(rows.map),
            Words::Numbers(h_in),
            poison(states * width),
            Words::Numbers(slots_before(&mut numbers, &form_of(&variant), [states, slots, hidden])),
            poison(2 + rows.rows * (hidden + 3)),
            poison(states * width),
        ],
        variant,
    }
}

pub(super) fn settle(_: &Device) -> Vec<Case> {
    [(0, false), (0, true), (1, true)].into_iter().map(|(stopped, wide)| settle_case(stopped, wide)).collect()
}

fn settle_case(stopped: u32, wide: bool) -> Case {
    let mut numbers = Numbers::new(stopped as usize);
    let (rows, state_row, h_width, aux_stride) = (6, 6, 8, 5);
    let width = if wide { 12 } else { h_width };
    let (h_at, aux_at) = (64 + rows * width, 64 + 2 * rows * width);
    let mut exchange = numbers.uniform(aux_at + rows * aux_stride, 1.0);
    exchange[0] = f32::from_bits(stopped);
    let map = numbers.below(300, 50);
    let states = rows + state_row;
    let params = SettleParams {
        rows: rows as u32,
        state_row: state_row as u32,
        h_width: h_width as u32,
        width: width as u32,
        h_at: h_at as u32,
        aux_stride: aux_stride as u32,
        aux_at: aux_at as u32,
        map_words: map.len() as u32,
        row_lanes: 2 * FLAT.lanes,
    };
    Case {
        name: format!("settle of a grid, stopped {stopped}, wide {wide}"),
        variant: Variant::new(Kernel::Settle, FLAT, 4),
        // Copies.
        tolerance: 0.0,
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(exchange),
            Words::Indices(map),
            Words::Indices(vec![u32::MAX; 300]),
            Words::Numbers(numbers.uniform(states * h_width, 1.0)),
            Words::Numbers(numbers.uniform(states * aux_stride, 1.0)),
        ],
    }
}

pub(super) fn sequence_backward(device: &Device) -> Vec<Case> {
    let cases = sequences(device, Kernel::SequenceBackward).into_iter();
    in_half_too(cases.map(|(variant, batch, units, steps)| backward_case(variant, batch, units, steps)).collect())
}

pub(super) fn outer(device: &Device) -> Vec<Case> {
    let sizes = [(1, 1, 1), (1, 64, 5), (4, 4, 3), (33, 65, 64), (64, 128, 130), (68, 132, 65)];
    let tiles = device::tiles(device, Kernel::Outer);
    let forms = [(false, false), (true, false), (false, true)];
    let case = |tile, size| forms.map(|form| outer_case(tile, size, form, 2));
    tiles.into_iter().flat_map(|tile| sizes.map(|size| case(tile, size))).flatten().collect()
}

/// C [m, n] from `rows` rows, of which those from the second on are this dispatch's; B's by a part of a map, or added to
/// what C holds.
fn outer_case(
    tile: Tile,
    (m, n, rows): (usize, usize, usize),
    (mapped, accumulate): (bool, bool),
    batch: usize,
) -> Case {
    let mut numbers = Numbers::new(m * 1000 + n * 10 + rows);
    let vector = n.is_multiple_of(4) && (tile.rows == 1 || m.is_multiple_of(4));
    // Strides leave gaps, which are NaN: nothing there may be read into a sum.
    let gap = if vector { 4 } else { 3 };
    let strided = |numbers: &mut Numbers, columns: usize| {
        let (row, batch_words) = (columns + gap, rows * (columns + gap) + 4 * gap);
        let mut words = vec![f32::NAN; gap + batch * batch_words];
        for b in 0..batch {
            for r in 0..rows {
                let at = gap + b * batch_words + r * row;
                words[at..][..columns].copy_from_slice(&numbers.uniform(columns, 1.0 / (rows as f32).sqrt()));
            }
        }
        (words, row, batch_words)
    };
    let (a, a_row, a_batch) = strided(&mut numbers, m);
    let (b, b_row, b_batch) = strided(&mut numbers, n);
    let mut map: Vec<u32> =
        (0..batch).flat_map(|_| [u32::MAX; 3].into_iter().chain((0..rows).rev().map(|r| r as u32))).collect();
    let ends = map.len();
    map.extend([3, 3 + rows as u32]);
    let (c_row, c_batch) = (n + 2, m * (n + 2) + 5);
    let words = 1 + batch * c_batch;
    let params = OuterParams {
        m: m as u32,
        n: n as u32,
        batch: batch as u32,
        a_offset: gap as u32,
        a_row: a_row as u32,
        a_batch: a_batch as u32,
        b_offset: gap as u32,
        b_row: b_row as u32,
        b_batch: b_batch as u32,
        c_offset: 1,
        c_row: c_row as u32,
        c_batch: c_batch as u32,
        mapped: mapped.into(),
        map_offset: 0,
        map_batch: (3 + rows) as u32,
        first: ends as u32,
        end: (ends + usize::from(mapped)) as u32,
        start: u32::from(rows > 1),
        // A part has as many rows as it has.
        to: (rows + if mapped { 7 } else { 0 }) as u32,
        accumulate: accumulate.into(),
    };
    let tile = if vector { tile } else { Tile { spread: 0, ..tile } };
    let variant = Variant { vector, ..Variant::new(Kernel::Outer, tile, 4) };
    Case {
        name: format!(
            "{variant} of {batch}x{m}x{n} from {rows}{}{}",
            if mapped { " mapped" } else { "" },
            if accumulate { " added" } else { "" }
        ),
        variant,
        tolerance: dot_tolerance(rows),
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(a),
            Words::Numbers(b),
            Words::Indices(map),
            if accumulate { Words::Numbers(numbers.uniform(words, 1.0)) } else { poison(words) },
        ],
    }
}

/// Rows of a batch of sequences of falling lengths in `directions` directions, with as many rows before them that belong to
/// no one.
struct Rows {
    /// Rows of the caller's array, a direction after the other; the sequence of each rank; first rows of the steps.
    map: Vec<u32>,
    rows: usize,
    order: usize,
    offsets: usize,
    running: usize,
}

/// Rows that the chunk has before the first step of the dispatch.
const EARLIER: usize = 2;

impl Rows {
    fn new(batch: usize, steps: usize, directions: usize) -> Self {
        // Rank r runs for steps − r % 2 steps where there are several; in a single step two of three end.
        let lengths: Vec<usize> =
            (0..batch).map(|rank| if 2 * rank >= batch { steps.div_ceil(2) } else { steps }).collect();
        let mut offsets = vec![EARLIER];
        for s in 0..steps {
            offsets.push(offsets[s] + lengths.iter().filter(|&&length| length > s).count());
        }
        let rows = offsets[steps];
        let next_running = if steps == 1 { batch / 3 } else { 0 };
        offsets.push(rows + next_running);
        let mut map: Vec<usize> = (0..rows).collect();
        for direction in 1..directions {
            map.extend((0..rows).map(|row| (row + direction) % rows));
        }
        let (order, at) = (map.len(), map.len() + batch);
        map.extend((0..batch).rev().chain(offsets).chain([0]));
        let map = map.into_iter().map(|index| index as u32).collect();
        Self { map, rows, order, offsets: at, running: batch }
    }

    /// Where the map tells the first row of the chunk: 0.
    fn chunk(&self) -> usize {
        self.map.len() - 1
    }
}

const DIRECTIONS: usize = 2;

/// The form of a recurrent variant's cell.
fn form_of(variant: &Variant) -> Form {
    variant.cell.unwrap_or(Form::new(Cell::Lstm, false))
}

/// A layer's second of two directions' worth of states, sequences of falling lengths, all outputs wanted.
fn recurrence_case(variant: Variant, batch: usize, hidden: usize, steps: usize) -> Case {
    let mut numbers = Numbers::new(batch * 1000 + hidden);
    let form = form_of(&variant);
    let phases = variant.phases();
    let state = if form.projected { hidden.div_ceil(2) } else { hidden };
    let size = |width: Width| width.of(hidden, state);
    let state_row = DIRECTIONS * batch;
    let states = state_row + DIRECTIONS * batch;
    let reserve = layer::Columns::new(&form, hidden, state);
    let stride = if variant.keep { reserve.width } else { form.gates() * hidden };
    let rows = Rows::new(batch, steps, DIRECTIONS);

    let mut weights = Vec::new();
    let mut sizes = [PhaseParams::default(); 2];
    for (i, phase) in phases.iter().enumerate() {
        let (units, k) = (size(phase.units), size(phase.source));
        let layout = Packed { rows: k, columns: phase.gates * units, panel: variant.panel as usize };
        sizes[i] = PhaseParams {
            units,
            panels: layout.panels(),
            weights: weights.len() / layout.panel,
            weights_direction: layout.vectors(),
            column: reserve.gates[i],
        };
        weights.extend(packed(&mut numbers, layout, DIRECTIONS));
        if form.options.peepholes && i == 0 {
            weights.extend(packed(&mut numbers, Packed { rows: 0, ..layout }, DIRECTIONS));
        }
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
        directions: DIRECTIONS as u32,
        state_row: state_row as u32,
        x_direction: (rows.rows * stride) as u32,
        x_stride: stride as u32,
        map_direction: rows.rows as u32,
        order: rows.order as u32,
        offsets: rows.offsets as u32,
        chunk: rows.chunk() as u32,
        steps: steps as u32,
        running: rows.running as u32,
        h_in_row: state_row as u32,
        h_in_stride: (source_width / 4) as u32,
        h_out_stride: target_width as u32,
        final_stride: final_width as u32,
        y_stride: (DIRECTIONS * state) as u32,
        y_offset: 2,
        aux_stride: (slots * hidden) as u32,
        source: reserve.source as u32,
        between: reserve.between as u32,
        ..RecurrenceParams::of_phases(sizes)
    };
    let tolerance = dot_tolerance(hidden) * steps as f64;
    let mut x = numbers.uniform(DIRECTIONS * rows.rows * stride, 1.0);
    if variant.keep {
        draw(&mut x, &form, &reserve, state);
    }
    // Where the h without its mask is.
    let h_final = if form.sees_unmasked() {
        Words::Numbers(numbers.uniform(states * final_width, 1.0))
    } else {
        poison(states * final_width)
    };
    let (params, out) = if variant.kernel == Kernel::Grid {
        let width = phases.iter().map(|phase| size(phase.units)).max().unwrap_or(0).next_multiple_of(4);
        let slots = (steps * phases.len()) as u64;
        let words = exchange_words((DIRECTIONS * batch) as u64, slots, width as u64, params.aux_stride.into());
        // No slot is filled yet.
        (RecurrenceParams { h_out_stride: width as u32, ..params }, Words::Numbers(vec![0.0; words as usize]))
    } else {
        (params, poison(states * target_width))
    };
    Case {
        name: format!("{variant} of N {batch}, H {hidden}, T {steps}"),
        variant,
        tolerance,
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(x),
            Words::Numbers(weights),
            Words::Indices(rows.map),
            Words::Numbers(h_in),
            out,
            Words::Numbers(slots_before(&mut numbers, &form, [states, slots, hidden])),
            poison(2 + rows.rows * DIRECTIONS * state),
            h_final,
        ],
    }
}

/// Numbers a unit that pass from step to step: rows, slots of each, units. An sLSTM's n is a sum of what is positive, or 0 with c
/// where nothing is carried yet.
fn slots_before(numbers: &mut Numbers, form: &Form, [rows, slots, units]: [usize; 3]) -> Vec<f32> {
    let mut words = numbers.uniform((rows * slots * units).max(1), 1.0);
    if form.cell == Cell::Slstm {
        for (i, row) in words.chunks_exact_mut(3 * units).enumerate() {
            let (c, rest) = row.split_at_mut(units);
            for (unit, (c, n)) in c.iter_mut().zip(rest).enumerate() {
                *n = if (i + unit) % 3 == 0 { 0.0 } else { 1.0 + n.abs() };
                *c *= if *n == 0.0 { 0.0 } else { 1.0 };
            }
        }
    }
    words
}

/// What zoneout may have drawn, into the rows of a reserve; masks of recurrent dropout are numbers as others are.
fn draw(rows: &mut [f32], form: &Form, columns: &layer::Columns, units: usize) {
    if form.options.zoneout.is_some() {
        for row in rows.chunks_exact_mut(columns.width) {
            let which = if form.cell.has_cell_state() { 3 } else { 1 };
            let drawn = &mut row[columns.source + units..][..units];
            drawn.iter_mut().for_each(|number| *number = (number.to_bits() >> 8 & which) as f32);
        }
    }
}

/// The same backwards: what a forward pass might have kept, and gradients of every output.
fn backward_case(variant: Variant, batch: usize, hidden: usize, steps: usize) -> Case {
    let mut numbers = Numbers::new(batch * 1000 + hidden);
    let form = form_of(&variant);
    let phases = variant.phases();
    let state = if form.projected { hidden.div_ceil(2) } else { hidden };
    let gates = |phase: usize| phases[phase].gates * phases[phase].units.of(hidden, state);
    let state_row = DIRECTIONS * batch;
    let states = state_row + DIRECTIONS * batch;
    let reserve = layer::Columns::new(&form, hidden, state);
    let rows = Rows::new(batch, steps, DIRECTIONS);

    let mut weights = Vec::new();
    let mut sizes = [PhaseParams::default(); 2];
    for (i, phase) in phases.iter().enumerate() {
        let units = phase.units.of(hidden, state);
        let k = gates((i + 1) % phases.len());
        let layout = Packed { rows: k, columns: units, panel: variant.panel as usize };
        sizes[i] = PhaseParams {
            units,
            panels: layout.panels(),
            weights: weights.len() / layout.panel,
            weights_direction: layout.vectors(),
            column: reserve.fields[i],
        };
        weights.extend(packed(&mut numbers, layout, DIRECTIONS));
    }
    let (source, target) = if variant.kernel == Kernel::StepBackward {
        (gates((variant.phase as usize + 1) % phases.len()), gates(variant.phase as usize))
    } else {
        (gates(0), gates(0))
    };
    let [source_width, target_width] = [source, target].map(|width| width.next_multiple_of(4));
    let mut d_in = numbers.uniform(states * source_width, 1.0);
    for row in d_in.chunks_exact_mut(source_width) {
        row[source..].fill(0.0);
    }
    let dh_width = state.next_multiple_of(4);
    let cell_width = form.cell.cell_numbers().max(1) * hidden;
    let params = BackwardParams {
        batch: batch as u32,
        directions: DIRECTIONS as u32,
        state_row: state_row as u32,
        x_direction: (rows.rows * reserve.width) as u32,
        x_stride: reserve.width as u32,
        map_direction: rows.rows as u32,
        order: rows.order as u32,
        offsets: rows.offsets as u32,
        chunk: rows.chunk() as u32,
        steps: steps as u32,
        running: rows.running as u32,
        d_in_row: state_row as u32,
        d_in_stride: (source_width / 4) as u32,
        d_out_stride: target_width as u32,
        dh_stride: dh_width as u32,
        dc_stride: cell_width as u32,
        dy_stride: (DIRECTIONS * state) as u32,
        dy_offset: 2,
        source: reserve.source as u32,
        ..BackwardParams::of_phases(sizes)
    };
    // Gates are from 0 to 1 where they are sigmoids, and nothing here is far from that.
    let mut kept: Vec<f32> =
        numbers.uniform(DIRECTIONS * rows.rows * reserve.width, 0.5).into_iter().map(|k| k + 0.5).collect();
    if form.cell == Cell::Slstm {
        for (i, row) in kept.chunks_exact_mut(reserve.width).enumerate() {
            row[5 * hidden..6 * hidden].iter_mut().for_each(|n| *n += 1.0);
            // Here m' is what was carried, or nothing is.
            row[hidden + i % hidden] = 1.0;
            row[5 * hidden + (i + 1) % hidden] = 0.0;
            row[(i + 1) % hidden] = 1.0;
        }
    }
    draw(&mut kept, &form, &reserve, state);
    let terms = gates(0).max(gates(phases.len() - 1));
    Case {
        name: format!("{variant} of N {batch}, H {hidden}, T {steps}"),
        // Gradients pass through products of up to `terms` terms, and grow by a small factor in each step.
        tolerance: dot_tolerance(terms) * 4.0 * steps as f64,
        variant,
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(kept),
            Words::Numbers(weights),
            Words::Indices(rows.map),
            Words::Numbers(d_in),
            poison(states * target_width),
            Words::Numbers(numbers.uniform(states * dh_width, 1.0)),
            Words::Numbers(numbers.uniform(states * cell_width, 1.0)),
            Words::Numbers(numbers.uniform(2 + rows.rows * DIRECTIONS * state, 1.0)),
        ],
    }
}

/// Every cell without R, whole and in parts: totals, and what is made of them.
fn scans(kernel: Kernel) -> Vec<(Variant, [usize; 4])> {
    let sizes = [(0, [1, 1, 1, 1]), (0, [3, 65, 7, 1]), (1, [5, 33, 11, 4]), (2, [5, 33, 11, 4]), (2, [2, 64, 6, 3])];
    let variants = forms(kernel).flat_map(|form| {
        let whole = form.cell.has_diagonal();
        let sizes = sizes.into_iter().filter(move |&(phase, _)| phase == 0 || !whole);
        sizes.map(move |(phase, sizes)| (Variant { cell: Some(form), phase, ..Variant::new(kernel, FLAT, 4) }, sizes))
    });
    variants.collect()
}

pub(super) fn scan(_: &Device) -> Vec<Case> {
    let forms = |variant: Variant| {
        // Totals keep nothing.
        let keeps = [false, true].into_iter().filter(|keep| !keep || variant.phase != 1);
        keeps.map(|keep| Variant { keep, ..variant.clone() }).collect::<Vec<_>>()
    };
    let cases = scans(Kernel::Scan)
        .into_iter()
        .flat_map(|(variant, sizes)| forms(variant).into_iter().map(move |v| scan_case(v, sizes)));
    let cases: Vec<_> = cases.collect();
    // Halves of one cell, whole and in parts.
    let qrnn = |case: &&Case| form_of(&case.variant).cell == Cell::Qrnn && !case.variant.keep;
    let halves: Vec<_> = cases.iter().filter(qrnn).map(|case| case.in_half(true)).collect();
    cases.into_iter().chain(halves).collect()
}

pub(super) fn scan_backward(_: &Device) -> Vec<Case> {
    scans(Kernel::ScanBackward).into_iter().map(|(variant, sizes)| scan_backward_case(variant, sizes)).collect()
}

/// Words of c, or of the diagonal of R, which takes its place; one where there is neither.
fn second_state(form: &Form, states: usize, units: usize, panel: u32) -> usize {
    match form.cell {
        cell if cell.has_cell_state() => states * units,
        cell if cell.has_diagonal() => DIRECTIONS * units * panel as usize,
        _ => 1,
    }
}

/// What a scan's sizes come to, with `stride` words in a row of its gates.
fn scan_params(
    form: &Form,
    rows: &Rows,
    stride: usize,
    panel: u32,
    [batch, units, steps, parts]: [usize; 4],
) -> ScanParams {
    ScanParams {
        batch: batch as u32,
        directions: DIRECTIONS as u32,
        state_row: (DIRECTIONS * batch) as u32,
        x_direction: (rows.rows * stride) as u32,
        x_stride: stride as u32,
        map_direction: rows.rows as u32,
        order: rows.order as u32,
        offsets: rows.offsets as u32,
        chunk: rows.chunk() as u32,
        steps: steps as u32,
        running: rows.running as u32,
        h_stride: units.next_multiple_of(4) as u32,
        c_stride: (units * if form.cell.has_diagonal() { panel as usize } else { 1 }) as u32,
        y_stride: (DIRECTIONS * units) as u32,
        y_offset: 2,
        source: layer::Columns::new(form, units, units).source as u32,
        units: units as u32,
        part: steps.div_ceil(parts) as u32,
        parts: parts as u32,
        rank: 0,
    }
}

/// What parts hand on: written by totals, read by what follows them.
fn scan_carry(numbers: &mut Numbers, phase: u32, [batch, units, _, parts]: [usize; 4]) -> Words {
    let words = (2 * parts + 1) * DIRECTIONS * batch * units;
    match phase {
        0 => Words::Numbers(vec![0.0]),
        1 => poison(words),
        _ => Words::Numbers(numbers.uniform(words, 1.0)),
    }
}

fn scan_case(variant: Variant, sizes: [usize; 4]) -> Case {
    let [batch, units, steps, parts] = sizes;
    let mut numbers = Numbers::new(batch * 1000 + units);
    let form = form_of(&variant);
    let stride = if variant.keep { layer::Columns::new(&form, units, units).width } else { form.gates() * units };
    let rows = Rows::new(batch, steps, DIRECTIONS);
    let states = 2 * DIRECTIONS * batch;
    let width = units.next_multiple_of(4);
    let totals = variant.phase == 1;
    // What is not written holds numbers.
    let out =
        |count: usize, is_written: bool| if is_written { poison(count) } else { Words::Numbers(vec![0.0; count]) };
    Case {
        name: format!("{variant} of N {batch}, H {units}, T {steps} in {parts}"),
        // A few roundings a step, of numbers that gates keep near 1.
        tolerance: 16.0 * f64::from(f32::EPSILON) * steps as f64,
        params: scan_params(&form, &rows, stride, variant.panel, sizes).words(),
        window: 0,
        buffers: vec![
            Words::Numbers(numbers.uniform(DIRECTIONS * rows.rows * stride, 1.0)),
            Words::Numbers(numbers.uniform(states * width, 1.0)),
            Words::Indices(rows.map),
            out(states * width, !totals),
            Words::Numbers(numbers.uniform(second_state(&form, states, units, variant.panel), 1.0)),
            out(2 + rows.rows * DIRECTIONS * units, !totals),
            out(states * width, !totals),
            scan_carry(&mut numbers, variant.phase, sizes),
        ],
        variant,
    }
}

fn scan_backward_case(variant: Variant, sizes: [usize; 4]) -> Case {
    let [batch, units, steps, parts] = sizes;
    let mut numbers = Numbers::new(batch * 1000 + units);
    let form = form_of(&variant);
    let stride = layer::Columns::new(&form, units, units).width;
    let rows = Rows::new(batch, steps, DIRECTIONS);
    let states = 2 * DIRECTIONS * batch;
    Case {
        name: format!("{variant} of N {batch}, H {units}, T {steps} in {parts}"),
        // As forwards, with the gradients of all steps added up.
        tolerance: 64.0 * f64::from(f32::EPSILON) * steps as f64,
        params: scan_params(&form, &rows, stride, variant.panel, sizes).words(),
        window: 0,
        buffers: vec![
            Words::Numbers(numbers.uniform(DIRECTIONS * rows.rows * stride, 1.0)),
            Words::Numbers(numbers.uniform(states * units.next_multiple_of(4), 1.0)),
            Words::Indices(rows.map),
            Words::Numbers(numbers.uniform(second_state(&form, states, units, variant.panel), 1.0)),
            Words::Numbers(numbers.uniform(2 + rows.rows * DIRECTIONS * units, 1.0)),
            scan_carry(&mut numbers, variant.phase, sizes),
        ],
        variant,
    }
}

/// Cells with layer norms, by fewer and more lanes than units.
fn norms(kernel: Kernel) -> impl Iterator<Item = (Variant, [usize; 2])> {
    let sizes = [(64, [1, 1]), (64, [3, 65]), (64, [5, 33]), (256, [2, 300])];
    forms(kernel).flat_map(move |form| {
        sizes.map(|(lanes, sizes)| {
            (Variant { cell: Some(form), ..Variant::new(kernel, Tile { lanes, ..FLAT }, 4) }, sizes)
        })
    })
}

pub(super) fn norm_step(_: &Device) -> Vec<Case> {
    let keeps = |(variant, sizes): (Variant, [usize; 2])| {
        [false, true].map(|keep| norm_case(Variant { keep, ..variant.clone() }, sizes))
    };
    norms(Kernel::NormStep).flat_map(keeps).collect()
}

pub(super) fn norm_step_backward(_: &Device) -> Vec<Case> {
    norms(Kernel::NormStepBackward).map(|(variant, sizes)| norm_backward_case(variant, sizes)).collect()
}

/// What a normed step's sizes come to, and its rows.
fn norm_params(form: &Form, keep: bool, panel: u32, [batch, units]: [usize; 2]) -> (NormParams, Rows) {
    let reserve = layer::Columns::new(form, units, units);
    let rows = Rows::new(batch, 1, DIRECTIONS);
    let gates = form.gates() * units;
    let stride = if keep { reserve.width } else { gates };
    let vectors = |rows, columns| (Packed { rows, columns, panel: panel as usize }).vectors() as u32;
    let c = form.cell.cell_numbers();
    // Each number of them in turn.
    let biases = units % 3;
    let params = NormParams {
        batch: batch as u32,
        directions: DIRECTIONS as u32,
        state_row: (DIRECTIONS * batch) as u32,
        x_direction: (rows.rows * stride) as u32,
        x_stride: stride as u32,
        map_direction: rows.rows as u32,
        order: rows.order as u32,
        offsets: rows.offsets as u32,
        chunk: rows.chunk() as u32,
        running: rows.running as u32,
        rank: 0,
        h_stride: units.next_multiple_of(4) as u32,
        c_stride: (c * units) as u32,
        d_stride: (5 * gates + 2 * c * units + 3) as u32,
        y_stride: (DIRECTIONS * units) as u32,
        y_offset: 2,
        source: reserve.source as u32,
        normed: reserve.normed as u32,
        scales: reserve.scales as u32,
        units: units as u32,
        biases: biases as u32,
        gates_gain: vectors(2 + biases, gates),
        units_gain: if c > 0 { vectors(1 + biases.min(1), units) } else { 0 },
    };
    (params, rows)
}

/// γ and β.
fn gains(numbers: &mut Numbers, p: &NormParams, panel: u32) -> Words {
    Words::Numbers(numbers.uniform(DIRECTIONS * (p.gates_gain + p.units_gain) as usize * panel as usize, 1.0))
}

/// Errors of a sum of `units` numbers are divided by as many; what is multiplied with 1 / √(var + ε) may be small, but not one of
/// these, but where there is one number: then nothing is left but rounding, over √ε.
fn norm_tolerance(units: usize) -> f64 {
    dot_tolerance(if units == 1 { 64 } else { 16 })
}

fn norm_case(variant: Variant, sizes: [usize; 2]) -> Case {
    let [batch, units] = sizes;
    let form = form_of(&variant);
    let mut numbers = Numbers::new(batch * 1000 + units);
    let (p, rows) = norm_params(&form, variant.keep, variant.panel, sizes);
    let states = 2 * DIRECTIONS * batch;
    let h = states * p.h_stride as usize;
    Case {
        name: format!("{variant} of N {batch}, H {units}"),
        tolerance: norm_tolerance(units),
        params: p.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(numbers.uniform(DIRECTIONS * p.x_direction as usize, 1.0)),
            gains(&mut numbers, &p, variant.panel),
            Words::Indices(rows.map),
            Words::Numbers(numbers.uniform(DIRECTIONS * batch * form.gates() * units, 1.0)),
            Words::Numbers(numbers.uniform(h, 1.0)),
            Words::Numbers(numbers.uniform((states * p.c_stride as usize).max(1), 1.0)),
            poison(2 + rows.rows * DIRECTIONS * units),
            poison(h),
        ],
        variant,
    }
}

fn norm_backward_case(variant: Variant, sizes: [usize; 2]) -> Case {
    let [batch, units] = sizes;
    let form = form_of(&variant);
    let mut numbers = Numbers::new(batch * 1000 + units);
    let (p, rows) = norm_params(&form, true, variant.panel, sizes);
    let states = 2 * DIRECTIONS * batch;
    // Gates from 0 to 1, normed numbers of either sign.
    let mut reserve = numbers.uniform(DIRECTIONS * p.x_direction as usize, 1.0);
    for row in reserve.chunks_exact_mut(p.x_stride as usize) {
        row[..p.normed as usize].iter_mut().for_each(|k| *k = k.abs());
    }
    Case {
        name: format!("{variant} of N {batch}, H {units}"),
        tolerance: 4.0 * norm_tolerance(units),
        params: p.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(reserve),
            gains(&mut numbers, &p, variant.panel),
            Words::Indices(rows.map),
            Words::Numbers(numbers.uniform(DIRECTIONS * batch * units, 1.0)),
            Words::Numbers(numbers.uniform(DIRECTIONS * batch * p.d_stride as usize, 1.0)),
            Words::Numbers(numbers.uniform(states * p.h_stride as usize, 1.0)),
            Words::Numbers(numbers.uniform((states * p.c_stride as usize).max(1), 1.0)),
            Words::Numbers(numbers.uniform(2 + rows.rows * DIRECTIONS * units, 1.0)),
        ],
        variant,
    }
}

/// Every activation, and magnitudes, with rows apart.
pub(super) fn apply(_: &Device) -> Vec<Case> {
    let activations = Form::all().flat_map(|form| form.activations());
    let mut functions = vec![Function::Magnitude];
    for function in activations.map(Function::Activation) {
        if !functions.contains(&function) {
            functions.push(function);
        }
    }
    let sizes = [(1, 7), (3, 65), (40, 33)];
    functions.into_iter().flat_map(|function| sizes.map(|size| apply_case(function, size))).collect()
}

fn apply_case(function: Function, (rows, columns): (usize, usize)) -> Case {
    let mut numbers = Numbers::new(rows + columns);
    let params = ApplyParams {
        rows: rows as u32,
        columns: columns as u32,
        x_offset: 1,
        x_row: 2 * columns as u32 + 1,
        out_offset: 2,
        out_row: columns as u32 + 3,
        row_lanes: 2 * FLAT.lanes,
    };
    let variant = Variant { function: Some(function), ..Variant::new(Kernel::Apply, FLAT, 4) };
    Case {
        name: format!("{variant} of {rows}x{columns}"),
        variant,
        // exp and log of WGSL, for arguments below 4: see `extremes` in the tests.
        tolerance: 16.0 * f64::from(f32::EPSILON),
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(numbers.uniform(1 + rows * (2 * columns + 1), 4.0)),
            poison(2 + rows * (columns + 3)),
        ],
    }
}

pub(super) fn dropout(_: &Device) -> Vec<Case> {
    [(1, 0.5), (64, 0.1), (1000, 0.5), (1000, 0.0)].into_iter().map(|(count, p)| dropout_case(count, p)).collect()
}

fn dropout_case(count: usize, p: f64) -> Case {
    let mut numbers = Numbers::new(count);
    let params = DropoutParams {
        count: count as u32,
        offset: 3,
        threshold: layer::threshold(p),
        scale: ((1.0 / (1.0 - p)) as f32).to_bits(),
        stream: 7,
        seed_offset: 1,
        row_lanes: 2 * FLAT.lanes,
    };
    Case {
        name: format!("dropout of {count} with {p}"),
        variant: Variant::new(Kernel::Dropout, FLAT, 4),
        // One product.
        tolerance: f64::from(f32::EPSILON),
        params: params.words(),
        window: 0,
        buffers: vec![Words::Indices(vec![0, 11, 5]), Words::Numbers(numbers.uniform(3 + count, 0.5))],
    }
}

/// Zoneout of h and of c, and recurrent dropout; batches second and first.
pub(super) fn masks(_: &Device) -> Vec<Case> {
    let z = |z: f64| (z * 4_294_967_296.0) as u32;
    let zoneout = [(z(0.3), 1.0, z(0.1)), (z(0.9), 1.0, 0)];
    let dropped = [(layer::threshold(0.4), (1.0 / 0.6) as f32, 0)];
    let sizes = [(1, 5, 4), (3, 63, 5), (9, 65, 7)];
    let drawn = zoneout.into_iter().map(|drawn| (drawn, false)).chain(dropped.map(|drawn| (drawn, true)));
    drawn.flat_map(|(drawn, dropped)| sizes.map(|size| masks_case(size, drawn, dropped))).collect()
}

fn masks_case(
    (batch, units, steps): (usize, usize, usize),
    (threshold, weight, threshold_2): (u32, f32, u32),
    dropped: bool,
) -> Case {
    let rows = Rows::new(batch, steps, DIRECTIONS);
    // The rows of the steps, which lie behind others.
    let count = rows.rows - EARLIER;
    let (out_offset, out_row) = (3, units + 5);
    let out_direction = count * out_row + 2;
    let [counter_row, counter_direction] =
        if dropped { [units + 1, batch * (units + 1)] } else { [DIRECTIONS * units, units] };
    let params = MasksParams {
        // More than there are.
        rows: count as u32 + 2,
        units: units as u32,
        directions: DIRECTIONS as u32,
        out_offset: out_offset as u32,
        out_row: out_row as u32,
        out_direction: out_direction as u32,
        map_direction: rows.rows as u32,
        first: rows.offsets as u32,
        end: (rows.offsets + steps) as u32,
        divisor: if dropped { 2 } else { 1 },
        modulus: if dropped { batch as u32 } else { u32::MAX },
        counter_row: counter_row as u32,
        counter_direction: counter_direction as u32,
        threshold,
        weight: weight.to_bits(),
        threshold_2,
        stream: 7,
        row_lanes: 2 * FLAT.lanes,
    };
    Case {
        name: format!("masks of N {batch}, H {units}, T {steps}, {threshold} and {threshold_2}"),
        variant: Variant::new(Kernel::Masks, FLAT, 4),
        // Chosen numbers.
        tolerance: 0.0,
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Indices(vec![11, 5]),
            Words::Indices(rows.map),
            poison(out_offset + DIRECTIONS * out_direction + 2 * out_row),
        ],
    }
}

pub(super) fn links(_: &Device) -> Vec<Case> {
    [(1, 1), (70, 5), (300, 29), (65, 200)].into_iter().map(links_case).collect()
}

/// Rows from the second on, where there are several.
fn links_case((m, symbols): (usize, usize)) -> Case {
    let mut numbers = Numbers::new(m + symbols);
    let start = usize::from(m > 1);
    let params = LinksParams { start: start as u32, end: m as u32, index_offset: 2, row_lanes: FLAT.lanes };
    Case {
        name: format!("links of {m} among {symbols}"),
        variant: Variant::new(Kernel::Links, FLAT, 4),
        // Indices.
        tolerance: 0.0,
        params: params.words(),
        window: 0,
        buffers: vec![Words::Indices(numbers.below(2 + m, symbols)), Words::Indices(vec![u32::MAX; m])],
    }
}

pub(super) fn scatter_add(_: &Device) -> Vec<Case> {
    [(1, 1, 1), (70, 3, 5), (300, 130, 29), (65, 64, 200)].into_iter().map(scatter_add_case).collect()
}

/// Rows from the second on, where there are several; some indices beyond the table.
fn scatter_add_case((m, columns, table_rows): (usize, usize, usize)) -> Case {
    let mut numbers = Numbers::new(m + columns);
    // The first one of all is in the table.
    let index: Vec<u32> = [0; 3].into_iter().chain(numbers.below(m - 1, table_rows + 1)).collect();
    let start = usize::from(m > 1);
    let next = |i: usize| (i + 1..m).find(|&next| index[2 + next] == index[2 + i]).unwrap_or(m) as u32;
    let has_earlier = |i: usize| (start..i).any(|earlier| index[2 + earlier] == index[2 + i]);
    let links = (0..m).map(|i| next(i) | u32::from(has_earlier(i)) << 31).collect();
    let row = columns + 1;
    let params = ScatterAddParams {
        start: start as u32,
        end: m as u32,
        columns: columns as u32,
        table_rows: table_rows as u32,
        values_offset: 1,
        values_row: row as u32,
        index_offset: 2,
        table_offset: 3,
        row_groups: 16,
    };
    Case {
        name: format!("scatter_add of {m}x{columns} into {table_rows}"),
        variant: Variant::new(Kernel::ScatterAdd, FLAT, 4),
        // Sums of up to m rows, in another order.
        tolerance: dot_tolerance(m),
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(numbers.uniform(1 + m * row, 1.0)),
            Words::Indices(index),
            Words::Indices(links),
            Words::Numbers(numbers.uniform(3 + table_rows * columns, 1.0)),
        ],
    }
}

pub(super) fn reduce(_: &Device) -> Vec<Case> {
    let sizes = [(1, 1), (63, 64), (1000, 100), (130, 1000)];
    sizes.into_iter().flat_map(|size| [0, 1, 2, 3].map(|form| reduce_case(size, form))).collect()
}

fn reduce_case((count, block): (usize, usize), form: u32) -> Case {
    let mut numbers = Numbers::new(count + block);
    let mut values = numbers.uniform(2 + count, 1.0);
    // What a count leaves out, and spoilt values do not: adding to them gives neither.
    if form >= 2 {
        let masked = if form == 2 { f32::from_bits(u32::MAX) } else { f32::NAN };
        values.iter_mut().skip(3).step_by(3).for_each(|value| *value = masked);
    }
    let groups = count.div_ceil(block);
    let params = ReduceParams {
        count: count as u32,
        block: block as u32,
        form,
        values_offset: 2,
        out_offset: 1,
        divided: u32::from(form == 0),
        divisor_offset: 1,
        nan: f32::NAN.to_bits(),
    };
    Case {
        name: format!("reduce of {count} by {block}, form {form}"),
        variant: Variant::new(Kernel::Reduce, FLAT, 4),
        // Sums of up to `block` terms, in one order; squares are rounded or fused.
        tolerance: dot_tolerance(block),
        params: params.words(),
        window: 0,
        buffers: vec![Words::Numbers(values), Words::Numbers(vec![0.0, 2.5]), poison(1 + groups)],
    }
}

pub(super) fn cross_entropy(_: &Device) -> Vec<Case> {
    [(1, 2), (5, 63), (33, 64), (70, 130), (3, 1000)].into_iter().map(cross_entropy_case).collect()
}

/// Some targets masked, one beyond the columns where there are several rows.
fn cross_entropy_case((m, columns): (usize, usize)) -> Case {
    let mut numbers = Numbers::new(m + columns);
    let mut targets = numbers.below(1 + m, columns);
    targets.iter_mut().skip(3).step_by(4).for_each(|target| *target = u32::MAX);
    if m > 1 {
        targets[2] = columns as u32;
    }
    let params = CrossEntropyParams {
        m: m as u32,
        columns: columns as u32,
        logits_offset: 2,
        target_offset: 1,
        count_offset: 1,
        losses_offset: 3,
        gradient_offset: 1,
        nan: f32::NAN.to_bits(),
        row_groups: 8,
    };
    Case {
        name: format!("cross_entropy of {m}x{columns}"),
        variant: Variant::new(Kernel::CrossEntropy, FLAT, 4),
        // exp on GPUs may be off by 3 + 2|x| ulp, x up to 20 below the largest; sums of `columns` terms; a log near 6.
        tolerance: (64.0 + columns as f64) * f64::from(f32::EPSILON),
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(numbers.uniform(2 + m * columns, 10.0)),
            Words::Indices(targets),
            Words::Numbers(vec![0.0, 3.0]),
            poison(3 + m),
            poison(1 + m * columns),
        ],
    }
}

pub(super) fn element_loss(_: &Device) -> Vec<Case> {
    [1, 63, 1000].into_iter().flat_map(|count| [false, true].map(|binary| element_loss_case(count, binary))).collect()
}

/// Some targets masked.
fn element_loss_case(count: usize, binary: bool) -> Case {
    let mut numbers = Numbers::new(count);
    let mut targets: Vec<f32> = numbers.uniform(2 + count, 0.5).into_iter().map(|target| target + 0.5).collect();
    targets.iter_mut().skip(3).step_by(4).for_each(|target| *target = f32::NAN);
    let params = ElementLossParams {
        count: count as u32,
        binary: binary.into(),
        x_offset: 1,
        target_offset: 2,
        count_offset: 1,
        losses_offset: 3,
        gradient_offset: 1,
        row_lanes: 2 * FLAT.lanes,
    };
    Case {
        name: format!("element_loss of {count}, binary {binary}"),
        variant: Variant::new(Kernel::ElementLoss, FLAT, 4),
        // Squares up to 40, and a few ulp of exp and log.
        tolerance: 64.0 * f64::from(f32::EPSILON),
        params: params.words(),
        window: 0,
        buffers: vec![
            Words::Numbers(numbers.uniform(1 + count, 5.0)),
            Words::Numbers(targets),
            Words::Numbers(vec![0.0, 3.0]),
            poison(3 + count),
            poison(1 + count),
        ],
    }
}

/// Steps that are compared as numbers, which small integers would not be.
const STEP: u32 = 1.5_f32.to_bits();

type Guarded = (&'static str, (f32, f32, f32, u32), (f32, [bool; 3]));

/// Loss, squared norm, largest norm, first bad step; the learning rate, and whether weights are unknown, a number is large,
/// and the optimiser wary.
pub(super) fn guard(_: &Device) -> Vec<Case> {
    let usual = (0.1, [false; 3]);
    let cases = [
        ("a good step", (1.5, 4.0, 0.0, 0), usual),
        ("a norm to clip", (1.5, 400.0, 5.0, 0), usual),
        ("a small norm", (1.5, 4.0, 5.0, 0), usual),
        ("a loss that is NaN", (f32::NAN, 4.0, 5.0, 0), usual),
        ("a loss that is infinite", (f32::INFINITY, 4.0, 0.0, 0), usual),
        ("gradients that are not finite", (1.5, f32::NAN, 0.0, 0), usual),
        ("an overflowing norm", (1.5, f32::INFINITY, 1.0, 0), usual),
        ("a step after a bad one", (1.5, 4.0, 0.0, STEP + 1), usual),
        ("large gradients", (1.5, 2e24, 0.0, 0), usual),
        ("a large rate", (1.5, 4.0, 0.0, 0), (1001.0, [false; 3])),
        ("a rate that is infinite", (1.5, 4.0, 0.0, 0), (f32::INFINITY, [false; 3])),
        ("unknown weights", (1.5, 4.0, 0.0, 0), (0.1, [true, false, false])),
        ("large weights", (1.5, 4.0, 0.0, 0), (0.1, [false, true, false])),
        ("a wary optimiser", (1.5, 4.0, 0.0, 0), (0.1, [false, false, true])),
    ];
    let case = |(name, (loss, square, norm, bad), (rate, [unknown, large, wary])): Guarded| Case {
        name: format!("guard of {name}"),
        variant: Variant::new(Kernel::Guard, ALONE, 4),
        // A root and a quotient; status words are compared as numbers.
        tolerance: 16.0 * f64::from(f32::EPSILON),
        params: GuardParams { max_norm: norm.to_bits(), loss_offset: 1, squares_offset: 1, wary: wary.into() }.words(),
        window: 0,
        buffers: vec![
            Words::Indices(vec![1, STEP, rate.to_bits(), 0, 0, unknown.into()]),
            Words::Numbers(vec![0.0, loss]),
            Words::Numbers(vec![0.0, square]),
            Words::Numbers([bad, 0, 0, 2.5_f32.to_bits(), 0, u32::from(large) * STEP].map(f32::from_bits).to_vec()),
            poison(3),
        ],
    };
    cases.into_iter().map(case).collect()
}

/// Numbers, step, and whether it is taken.
type Update = (usize, u32, Taken);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Taken {
    Not,
    Yes,
    /// It would make numbers that are not finite, and was found to do so.
    NotAfterTrial,
    /// One of the weights is large, and too large to be changed.
    OfLargeWeight,
    /// It is tried, because a number may overflow.
    Tried,
    /// It is not even tried.
    Untried,
    /// The same, and one overflows: the weight, or what is kept of gradients.
    TriedInVain(f32),
}

/// The first step of an optimiser, later ones, one that is not taken, and ones that are tried.
const UPDATES: [Update; 11] = [
    (1, 1, Taken::Yes),
    (63, 1, Taken::Yes),
    (63, 5, Taken::Yes),
    (64, 5, Taken::Not),
    (1000, 2, Taken::Yes),
    (63, 5, Taken::NotAfterTrial),
    (1000, 5, Taken::OfLargeWeight),
    (1000, STEP, Taken::Tried),
    (1000, STEP, Taken::Untried),
    (1000, STEP, Taken::TriedInVain(f32::MAX)),
    (100, STEP, Taken::TriedInVain(f32::INFINITY)),
];

fn update_case(variant: Variant, name: &str, words: usize, mut params: Vec<u32>, (count, step, taken): Update) -> Case {
    let mut numbers = Numbers::new(count + step as usize % 1000);
    let is_trial = matches!(taken, Taken::Tried | Taken::Untried | Taken::TriedInVain(_));
    let trial = params.len() - 2;
    params[trial] = is_trial.into();
    let hyper = [1, step, 0.1_f32.to_bits(), 2.0_f32.to_bits(), 3.0_f32.to_bits(), 0];
    let go = f32::from(u8::from(taken != Taken::Not));
    let tries = f32::from(u8::from(is_trial && taken != Taken::Untried));
    let mut gradients = numbers.uniform(count, 1.0);
    if let Taken::TriedInVain(gradient) = taken {
        gradients[count - 1] = -gradient;
    }
    let mut buffers =
        vec![Words::Numbers(gradients), Words::Indices(hyper.to_vec()), Words::Numbers(vec![0.75, go, tries])];
    // Squares are not negative.
    let positive = |_| Words::Numbers(numbers.uniform(count, 1.0).into_iter().map(f32::abs).collect());
    buffers.extend((0..words).map(positive));
    if let (Taken::OfLargeWeight, Words::Numbers(weights)) = (taken, &mut buffers[3]) {
        // A power of two, whose products are exact.
        weights[count / 2] = 2.0_f32.powi(100);
    }
    if let (Taken::TriedInVain(_), Words::Numbers(weights)) = (taken, &mut buffers[3]) {
        weights[count - 1] = f32::MAX;
    }
    let bad = if taken == Taken::NotAfterTrial { STEP } else { 0 };
    buffers.push(Words::Numbers([bad, 0, 0, 0, 0, 0].map(f32::from_bits).to_vec()));
    Case {
        name: format!("{name} of {count}, step {step}, {taken:?}"),
        variant,
        // A few roundings of numbers near 1, and a quotient.
        tolerance: 32.0 * f64::from(f32::EPSILON),
        params,
        window: 0,
        buffers,
    }
}

pub(super) fn sgd(_: &Device) -> Vec<Case> {
    let forms = [("plain", 0.0, 0.0, 0, 0.0), ("momentum", 0.9, 0.01, 0, 0.0), ("nesterov", 0.9, 0.0, 1, 0.3)];
    forms.into_iter().flat_map(|form| UPDATES.map(|update| sgd_case(form, update))).collect()
}

/// Name, momentum, decay, Nesterov's momentum, largest gradient.
fn sgd_case((name, momentum, decay, nesterov, most): (&str, f32, f32, u32, f32), update: Update) -> Case {
    let params = SgdParams {
        count: update.0 as u32,
        momentum: momentum.to_bits(),
        decay: decay.to_bits(),
        nesterov,
        max_value: most.to_bits(),
        trial: 0,
        row_lanes: (2 * FLAT.lanes).max(layer::row_lanes(update.0) / 2),
    };
    update_case(Variant::new(Kernel::Sgd, FLAT, 4), &format!("sgd {name}"), 2, params.words(), update)
}

pub(super) fn adam(_: &Device) -> Vec<Case> {
    let forms = [("plain", 0.0, 0, 0.0), ("decay", 0.02, 0, 0.3), ("decoupled", 0.05, 1, 0.0)];
    forms.into_iter().flat_map(|form| UPDATES.map(|update| adam_case(form, update))).collect()
}

/// Name, decay, whether it is decoupled, largest gradient.
fn adam_case((name, decay, decoupled, most): (&str, f32, u32, f32), update: Update) -> Case {
    let params = AdamParams {
        count: update.0 as u32,
        beta_1: 0.9_f32.to_bits(),
        beta_2: 0.999_f32.to_bits(),
        epsilon: 1e-3_f32.to_bits(),
        decay: decay.to_bits(),
        decoupled,
        max_value: most.to_bits(),
        trial: 0,
        row_lanes: (2 * FLAT.lanes).max(layer::row_lanes(update.0) / 2),
    };
    update_case(Variant::new(Kernel::Adam, FLAT, 4), &format!("adam {name}"), 3, params.words(), update)
}

/// Cases large enough to time, with the tiles and the packing that the device uses.
pub(super) fn bench(kernel: Kernel, device: &Device) -> Vec<Case> {
    let (texture, uniform) = (device.packs_textures(), device.reads_windows());
    let has = |case: &Case, access| case.variant.kernel.row().bindings.iter().any(|binding| binding.1 == access);
    let as_used = |case: Case| {
        let texture = texture && has(&case, Access::Matrix);
        let uniform = uniform && matches!(kernel, Kernel::Gemm | Kernel::Step | Kernel::Wave | Kernel::StepBackward);
        if !texture && !uniform {
            return case;
        }
        // Rows that are more than a window are timed as a buffer.
        case.read_by(texture, uniform).or_else(|| case.read_by(texture, false)).unwrap_or(case)
    };
    plain_bench(kernel, device).into_iter().map(as_used).collect()
}

/// A product for a tile to be timed on, `gemm`'s of so many rows, read from textures and windows as it says; none where the
/// kernel has no such form.
pub(crate) fn timed(
    kernel: Kernel,
    device: &Device,
    tile: Tile,
    (texture, uniform): (bool, bool),
    rows: usize,
) -> Option<Case> {
    let variant = |tile: Tile, cell: bool| Variant {
        cell: cell.then_some(Form::new(Cell::Lstm, false)),
        width: if kernel == Kernel::Sequence { 64 } else { 0 },
        ..Variant::new(kernel, tile, device.panel())
    };
    let case = match kernel {
        Kernel::Gemm => gemm_case(tile, device.panel(), (rows, 1024, 256), GemmForm::Plain, 1),
        Kernel::Step => {
            let tile = Tile { columns: (tile.columns / 4).max(1), ..tile };
            // The states of two layers and directions, which a window still holds.
            recurrence_case(variant(tile, true), 16, 192, 1)
        }
        Kernel::Sequence => recurrence_case(variant(tile, true), 8, 64, 64),
        Kernel::Outer => outer_case(tile, (1024, 256, 256), (false, true), 1),
        Kernel::Wave => {
            let tile = Tile { columns: (tile.columns / 4).max(1), ..tile };
            wave_case(variant(tile, true), 16, 65, 0..3)
        }
        Kernel::StepBackward => backward_case(variant(tile, true), 16, 65, 1),
        Kernel::SequenceBackward => {
            // Rows hold the gradients of all gates.
            let tile = Tile { rows: tile.rows.min(8), ..tile };
            backward_case(Variant { width: 256, ..variant(tile, true) }, 3, 33, 5)
        }
        _ => return None,
    };
    let uniform = uniform && matches!(kernel, Kernel::Gemm | Kernel::Step);
    let texture = texture && kernel != Kernel::Outer;
    if texture || uniform { case.read_by(texture, uniform) } else { Some(case) }
}

/// The same product through workgroup memory.
pub(crate) fn timed_staged(device: &Device, texture: bool, rows: usize, tile: Tile) -> Option<Case> {
    let case = gemm_case(tile, device.panel(), (rows, 1024, 256), GemmForm::Plain, 1).staged();
    if texture { case.read_by(true, false) } else { Some(case) }
}

/// The same products in half precision, and by this device's units for small matrices, if it has any.
pub(crate) fn timed_half(kernel: Kernel, device: &Device, tile: Tile, texture: bool, rows: usize) -> [Option<Case>; 2] {
    let Some(case) = timed(kernel, device, tile, (texture, false), rows) else { return [None, None] };
    let by_units = case.by_units(device, if kernel == Kernel::Gemm { rows } else { 16 }, true).pop();
    [Some(case.in_half(true)), by_units]
}

fn plain_bench(kernel: Kernel, device: &Device) -> Vec<Case> {
    let cell = Some(Form::new(Cell::Lstm, false));
    match kernel {
        Kernel::Gemm => {
            vec![gemm_case(layer::gemm_tile(device, 512), device.panel(), (512, 1024, 256), GemmForm::Plain, 1)]
        }
        Kernel::Pack => vec![pack_case((256, 1024), (4, true, true), 1 << 15)],
        Kernel::Gather => vec![gather_case((2048, 256), (true, false), 1 << 15)],
        Kernel::Argmax => vec![argmax_case((64, 1000))],
        Kernel::Step => {
            let tile = layer::step_tile(device, 4, 32);
            vec![recurrence_case(Variant { cell, ..Variant::new(kernel, tile, device.panel()) }, 32, 256, 1)]
        }
        Kernel::Sequence => {
            let tile = Tile { rows: 8, ..device::own_tiles(device, kernel)[0] };
            vec![recurrence_case(Variant { cell, width: 64, ..Variant::new(kernel, tile, device.panel()) }, 8, 64, 64)]
        }
        Kernel::Grid => {
            let tile = device::own_tiles(device, kernel)[0];
            vec![recurrence_case(Variant { cell, width: 64, ..Variant::new(kernel, tile, device.panel()) }, 4, 32, 64)]
        }
        Kernel::Settle => vec![settle_case(0, true)],
        Kernel::Wave => {
            let tile = layer::step_tile(device, 4, 8);
            vec![wave_case(Variant { cell, ..Variant::new(kernel, tile, device.panel()) }, 8, 256, 0..3)]
        }
        Kernel::Outer => {
            // The gradient of R of a character model: 2,048 rows of gates, times those of the state.
            vec![outer_case(layer::outer_tile(device, 1024), (1024, 256, 2048), (false, true), 1)]
        }
        Kernel::StepBackward => {
            let tile = layer::step_tile(device, 1, 32);
            vec![backward_case(Variant { cell, ..Variant::new(kernel, tile, device.panel()) }, 32, 256, 1)]
        }
        Kernel::Scan | Kernel::ScanBackward => {
            let make = if kernel == Kernel::Scan { scan_case } else { scan_backward_case };
            let cells =
                forms(kernel).map(|form| Variant { cell: Some(form), ..Variant::new(kernel, FLAT, device.panel()) });
            cells.map(|variant| make(variant, [32, 256, 64, 1])).collect()
        }
        Kernel::NormStep | Kernel::NormStepBackward => {
            let make = if kernel == Kernel::NormStep { norm_case } else { norm_backward_case };
            let tile = Tile { lanes: 256, ..FLAT };
            let cells =
                forms(kernel).map(|form| Variant { cell: Some(form), ..Variant::new(kernel, tile, device.panel()) });
            cells.map(|variant| make(variant, [32, 256])).collect()
        }
        Kernel::Apply => vec![apply_case(Function::Activation(Activation::Tanh), (256, 512))],
        Kernel::Dropout => vec![dropout_case(1 << 17, 0.5)],
        Kernel::Masks => vec![masks_case((32, 256, 64), (1 << 29, 1.0, 1 << 28), false)],
        Kernel::Links => vec![links_case((2048, 65))],
        Kernel::ScatterAdd => vec![scatter_add_case((2048, 128, 65))],
        Kernel::Reduce => vec![reduce_case((1 << 18, 1 << 12), 1)],
        Kernel::CrossEntropy => vec![cross_entropy_case((2048, 65))],
        Kernel::ElementLoss => vec![element_loss_case(1 << 17, true)],
        Kernel::Guard => guard(device).into_iter().take(1).collect(),
        // The weights of a character model.
        Kernel::Sgd => vec![sgd_case(("momentum", 0.9, 0.0, 0, 0.0), (1 << 19, 2, Taken::Yes))],
        Kernel::Adam => vec![adam_case(("plain", 0.0, 0, 0.0), (1 << 19, 2, Taken::Yes))],
        Kernel::SequenceBackward => {
            let tile = Tile { rows: 4, ..device::own_tiles(device, kernel)[0] };
            vec![backward_case(Variant { cell, width: 256, ..Variant::new(kernel, tile, device.panel()) }, 8, 64, 64)]
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
            for (binding, words) in crate::device::block_on(case.run(&Device::cpu())).unwrap() {
                // Only a step's last phase has an output.
                if variant.kernel == Kernel::Step && unfinished && ["y", "h_final"].contains(&binding) {
                    continue;
                }
                // And the topmost layer of a stack.
                if variant.kernel == Kernel::Wave && binding == "y" && case.name.contains("layers 0..1") {
                    continue;
                }
                assert!(words.iter().any(|word| !word.is_nan()), "{}: {binding} is NaN all over", case.name);
            }
        }
    }
}
