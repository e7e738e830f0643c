//! A dispatch with its data, and its forms: spoilt, wrapped, in half precision, read in another way.

use crate::cpu::{halves, write_halves};
use crate::device::Device;
use crate::error::Result;
use crate::kernels::{Access, By, Cooperative, GemmParams, Kernel, Of, Reads, Variant, WINDOW, WINDOW_ALIGNMENT, read};
use crate::plan::{Draft, Plan, Program, Role};
use crate::storage::Storage;

/// Steps that are compared as numbers, which small integers would not be.
pub(crate) const STEP: u32 = 1.5_f32.to_bits();

/// One dispatch with its data.
#[derive(Clone)]
pub struct Case {
    /// What is special about it.
    pub name: String,
    pub(crate) variant: Variant,
    /// Largest absolute difference from the twin.
    pub tolerance: f64,
    pub(super) params: Vec<u32>,
    /// First word of the rows that are multiplied, where these are read through a window.
    pub(super) window: u64,
    /// Every binding's words. Indices become constants of the plan, so that its check can see them.
    pub(super) buffers: Vec<Words>,
}

#[derive(Clone)]
pub(crate) enum Words {
    Numbers(Vec<f32>),
    /// Two a word.
    Halves(Vec<f32>),
    Indices(Vec<u32>),
}

impl Words {
    pub(super) fn bits(&self) -> &[u32] {
        match self {
            Self::Numbers(numbers) | Self::Halves(numbers) => bytemuck::cast_slice(numbers),
            Self::Indices(indices) => indices,
        }
    }

    /// Adds to all numbers; indices stay.
    #[cfg(test)]
    fn add(&mut self) {
        match self {
            Self::Numbers(numbers) => numbers.iter_mut().for_each(|number| *number += 0.25),
            Self::Halves(words) => {
                let numbers: Vec<_> = halves(words).into_iter().map(|number| number + 0.25).collect();
                write_halves(&numbers, words);
            }
            Self::Indices(_) => {}
        }
    }

    /// Changes the numbers, if it holds some.
    #[cfg(test)]
    fn numbers(&mut self, change: impl FnOnce(&mut Vec<f32>)) {
        if let Self::Numbers(numbers) = self {
            change(numbers);
        }
    }

    /// Changes the indices, if it holds some.
    #[cfg(test)]
    fn indices(&mut self, change: impl FnOnce(&mut Vec<u32>)) {
        if let Self::Indices(indices) = self {
            change(indices);
        }
    }
}

/// Rounding of a sum of `terms` products with a sum of absolute values near √terms: the terms' roundings, each at most
/// half an ulp, add up like a random walk, so terms · ε is about eight of its standard deviations; and a few ulp for the
/// activations, whose slopes are at most 1.
pub(crate) fn dot_tolerance(terms: usize) -> f64 {
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
        if self.variant.of.units().is_some() && device.cooperative(tile.lanes) != self.variant.of.units() {
            return Some("no such units for small matrices".to_owned());
        }
        let lanes = self.variant.invocations();
        (lanes > report.limits.invocations).then(|| format!("no workgroups of {lanes}"))
    }

    /// The same with its workgroups spread over two axes, so many along the first, where the kernel can.
    #[doc(hidden)]
    pub fn wrapped(&self, along: u32) -> Option<Self> {
        self.variant.row().wraps?;
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
        match self.variant.kernel() {
            Kernel::Gemm | Kernel::Step | Kernel::Sequence | Kernel::Grid | Kernel::Wave => buffers[1].add(),
            Kernel::Outer | Kernel::StepBackward | Kernel::SequenceBackward => buffers[1].add(),
            Kernel::Own => buffers[0].add(),
            Kernel::Pack
            | Kernel::Gather
            | Kernel::Apply
            | Kernel::ScatterAdd
            | Kernel::ElementLoss
            | Kernel::Sgd
            | Kernel::Adam
            | Kernel::RmsProp => buffers[0].add(),
            // Weights and averages alike: a step that is not taken reads neither, and one whose part is 1 only weights.
            Kernel::Average => [0, 3].into_iter().for_each(|i| buffers[i].add()),
            Kernel::RunningMean => buffers[2].add(),
            // A number added to all that is normed together is no matter: gains are off.
            Kernel::NormStep | Kernel::NormStepBackward => buffers[1].add(),
            // After a step, whether it was taken.
            Kernel::Guard if self.params[4] != 0 => {
                buffers[4].numbers(|status| status[0] = if status[0] == 0.0 { f32::from_bits(STEP) } else { 0.0 })
            }
            Kernel::Dropout | Kernel::Guard => buffers[1].add(),
            // A comparison may not heed a small change of one value.
            Kernel::Map | Kernel::Fold => {
                let words = buffers.iter_mut().skip(1);
                words.enumerate().for_each(|(k, words)| {
                    words.numbers(|all| all.iter_mut().for_each(|x| *x = 0.7 - *x * (1.25 + k as f32)));
                });
            }
            // Another step.
            Kernel::Masks => buffers[0].indices(|seed| seed[1] += 1),
            Kernel::Scan | Kernel::ScanBackward => buffers[0].add(),
            // Values: a single step has the weight 1 whatever its query.
            Kernel::Attend => buffers[2].add(),
            // Another order of the classes.
            Kernel::CtcBeam => buffers[0].numbers(|logits| logits.reverse()),
            Kernel::LogSumExp | Kernel::CtcGreedy | Kernel::CtcLattice | Kernel::CtcGradient => buffers[0].add(),
            // Labels out of range.
            Kernel::CtcLabels => buffers[0].indices(|labels| labels.fill(u32::MAX)),
            // Counts do not heed small changes: everything is masked.
            Kernel::Reduce => buffers[0].numbers(|values| values.fill(f32::from_bits(u32::MAX))),
            // Whether it was stopped.
            Kernel::Settle => buffers[0].numbers(|exchange| exchange[0] = f32::from_bits(1 - exchange[0].to_bits())),
            // All of them on one list.
            Kernel::Links => buffers[0].indices(|index| index.fill(1)),
            // Adding a number to all logits of a row changes nothing: a target is off.
            Kernel::CrossEntropy => match &mut buffers[1] {
                Words::Indices(targets) => {
                    targets.iter_mut().for_each(|target| *target = if *target == 0 { u32::MAX } else { 0 });
                }
                probabilities => probabilities.add(),
            },
            Kernel::Argmax | Kernel::Beam | Kernel::Sample => buffers[0].numbers(|values| values.reverse()),
        }
        case
    }

    /// The plan of one dispatch.
    pub(super) fn plan(&self) -> (Plan, Vec<(usize, crate::plan::BufferId)>) {
        let mut draft = Draft::default();
        let bindings = self.variant.row().bindings;
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

    pub(super) fn prepare(&self, device: &Device) -> Result<(Program, Vec<(usize, Storage)>)> {
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
    pub(super) fn storage(&self, device: &Device, binding: usize, name: &str) -> Result<Storage> {
        let words = self.buffers[binding].bits().len() as u64;
        let texture = match self.variant.row().bindings[binding].1 {
            Access::Matrix if self.variant.reads.texture => {
                Storage::texture(device, name, words, self.variant.reads.half)?
            }
            Access::Rows if self.variant.reads.uniform => return Storage::windowed(device, name, words),
            _ => None,
        };
        texture.map_or_else(|| Storage::zeros(device, name, words), Ok)
    }

    /// Whether it is a product added to what C holds.
    pub(super) fn accumulates(&self) -> bool {
        self.variant.kernel() == Kernel::Gemm && matches!(&self.buffers[3], Words::Numbers(c) if !c[0].is_nan())
    }

    /// The same whose sums so many lanes share; none where workgroups would be too large.
    pub(crate) fn split(&self, split: u32) -> Option<Self> {
        let variant = self.variant.with_split(split)?;
        let name = format!("{}, split {split}", self.name);
        (variant.invocations() <= 256 && variant.workgroup_bytes() <= 16 << 10).then(|| Self {
            variant,
            name,
            ..self.clone()
        })
    }

    /// The same through workgroup memory.
    pub(super) fn staged(mut self) -> Self {
        match &mut self.variant.of {
            Of::Gemm { by, .. } => *by = By::Staged,
            Of::Outer { staged, .. } => *staged = true,
            _ => {}
        }
        self.name = format!("{}, staged", self.name);
        self
    }

    /// The same by units for small matrices: those of this device; on the CPU, which compiles no shader, one of each kind.
    pub(super) fn by_units(&self, device: &Device, rows: usize, narrow: bool) -> Vec<Self> {
        let all = if device.is_cpu() {
            // Tensor cores by 32 and 64 lanes, simdgroup matrices.
            [(16, 32), (16, 64), (8, 32)]
                .map(|(edge, lanes)| {
                    self.variant.with_units(|all| Some(Cooperative { edge, subgroups: (all / lanes).max(1) }), rows)
                })
                .into()
        } else {
            vec![self.variant.by_units(device, rows)]
        };
        all.into_iter().flatten().map(|variant| Self { variant, ..self.clone() }.in_half(narrow)).collect()
    }

    /// The same with matrix and rows read in another way; none where the rows are more than a window.
    pub(super) fn read_by(&self, texture: bool, uniform: bool) -> Option<Self> {
        let mut case = self.clone();
        case.variant.reads = Reads { texture, uniform, ..case.variant.reads };
        if uniform {
            let rows = self.variant.row().bindings.iter().position(|binding| binding.1 == Access::Rows)?;
            let Words::Numbers(rows) = &mut case.buffers[rows] else { return None };
            // The window begins behind what must not be read.
            case.window = WINDOW_ALIGNMENT;
            rows.splice(0..0, std::iter::repeat_n(f32::NAN, WINDOW_ALIGNMENT as usize));
            if rows.len() > (WINDOW as usize) || !self.variant.of.vector() && self.variant.kernel() == Kernel::Gemm {
                return None;
            }
        }
        case.name = format!("{}, read by {}", self.name, case.variant);
        Some(case)
    }

    /// The same with the matrix in half precision, and with the input part of the gates in it too.
    pub(super) fn in_half(&self, narrow: bool) -> Self {
        let mut case = self.clone();
        case.variant.reads = Reads { half: true, narrow, ..case.variant.reads };
        match &mut case.buffers[2] {
            // What lies before a packed matrix is as many words in either precision.
            Words::Numbers(packed) if self.variant.kernel() == Kernel::Pack => packed.extend([f32::NAN; 3]),
            _ if narrow && self.variant.kernel() == Kernel::Gemm => case.with_narrow_rows(),
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
    pub(super) fn with_narrow_rows(&mut self) {
        let p: GemmParams = read(&self.params);
        let [c_row, c_batch] = [p.c_row.next_multiple_of(2), (p.m * (p.c_row + 1) + 5).next_multiple_of(2)];
        let mut c = vec![f32::NAN; 2 + p.batch * c_batch];
        if !p.n.is_multiple_of(2) {
            for (batch, row) in (0..p.batch).flat_map(|batch| (0..p.m).map(move |row| (batch, row))) {
                c[2 + batch * c_batch + row * c_row + p.n] = 0.0;
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
        let bindings = self.variant.row().bindings;
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
