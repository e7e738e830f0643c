//! Which tiles and which schedule: what the table says, for a device and sizes.

use super::matrices::joins;
use super::shapes::sequence_sizes;
use crate::cells::{Form, Phase, Width};
use crate::config::RnnConfig;
use crate::cpu::threads;
use crate::device::{Device, tuning};
use crate::kernels::{
    By, GemmParams, Kernel, MAX_TRIPS, Of, OuterParams, PhaseParams, STAGED, Tile, Variant, WINDOW, WINDOW_ALIGNMENT,
    grid_trips, sequence_trips, workgroups,
};

/// The enum, the list of its variants, and their names: a schedule is one line.
macro_rules! schedules {
    (
        $(#[$doc:meta])*
        pub enum Schedule {
            $($(#[$own:meta])+ $schedule:ident => $name:literal,)+
        }
    ) => {
        $(#[$doc])*
        pub enum Schedule {
            $($(#[$own])+ $schedule,)+
        }

        impl Schedule {
            /// Every schedule: tests and `doctor` go through this list.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$schedule),+];

            /// The name used in tables and in the JavaScript package.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$schedule => $name,)+
                }
            }
        }
    };
}

schedules! {
    /// How the time steps of a layer become dispatches.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    #[non_exhaustive]
    pub enum Schedule {
        /// Chosen by the device and the sizes.
        #[default]
        Auto => "auto",
        /// A dispatch for each step (and for each phase of the cell).
        Step => "step",
        /// Many steps in a dispatch, with the state in workgroup memory. Suits small H. On GPUs in software, for few
        /// sequences and H up to 256, lanes also keep the weights of their units over all steps.
        Sequence => "sequence",
        /// Many steps in a dispatch, spread over many workgroups that exchange values. Suits a single sequence. If
        /// the workgroups do not run side by side, the kernel notices it, and the work is done again as by
        /// [`Schedule::Sequence`]. `Auto` chooses it only where a trial at the first use has shown that workgroups run side
        /// by side. It is only for inference: passes that keep every step for training run step by step instead.
        Grid => "grid",
        /// All layers of a stack side by side, each a step behind the one below. This takes T + L − 1 dispatches in place
        /// of T·L and no memory between the layers, but multiplies W step by step. Suits small layers on adapters that take
        /// long to begin a dispatch. It is only for inference, for stacks that read in one direction, and for cells with one
        /// product a step; everything else runs step by step instead.
        Wavefront => "wavefront",
    }
}

/// The part of a tile that `rows` rows fill, and sharing of loads only where lanes for it are.
fn fit(device: &Device, tile: Tile, rows: usize) -> Tile {
    let report = device.report();
    let shares = report.is_some_and(|report| report.has_subgroups_of(tile.spread));
    let rows = u32::try_from(rows.next_power_of_two()).unwrap_or(u32::MAX).min(tile.rows);
    let spread = if shares && tile.spread > 0 && rows.is_multiple_of(tile.spread) { tile.spread } else { 0 };
    Tile { rows, spread, lanes: tile.lanes.min(report.map_or(u32::MAX, |report| report.limits.invocations)), ..tile }
}

/// Whether a product reads its rows through windows: where two rows at least fit into one, wherever it begins, and each
/// window's dispatch has work for all cores, or is the only one.
pub(crate) fn windows_suit(device: &Device, p: &GemmParams) -> bool {
    let rows = (WINDOW as usize - WINDOW_ALIGNMENT as usize).checked_div(p.k).unwrap_or(0).min(p.m);
    if !device.reads_windows() || rows < p.m.min(2) {
        return false;
    }
    let tile = gemm_tile(device, rows);
    let groups = p.n.div_ceil((tile.lanes * tile.columns) as usize) * (rows / tile.rows as usize).max(1);
    p.m <= rows || groups >= cores()
}

/// Cores of this process, on which a GPU in software works: as many as the CPU device has threads.
fn cores() -> usize {
    threads::count()
}

/// Steps of a part of a scan over `steps` steps with so many lanes, and most parts of a dispatch: as many as keep the device
/// busy, but no more than `most`, nor than make what they hand on as much work as their steps.
pub(crate) fn scan_parts(device: &Device, lanes: usize, steps: usize, most: usize) -> (usize, usize) {
    if device.is_cpu() {
        return (steps, 1);
    }
    let parts = (tuning(device).scan_lanes / lanes.max(1)).min(most).clamp(1, steps.isqrt().max(1));
    let part = steps.div_ceil(parts).min(SCAN_STEPS);
    (part, parts)
}

/// Most steps of a lane in a dispatch.
const SCAN_STEPS: usize = 1 << 11;

/// Whether the lanes of a workgroup share each result of `fold`: of this many results of so many terms, whose terms lie one after the
/// other for some value or not. Lanes by themselves read neighbouring terms only where those do not.
pub(crate) fn shares_folds(device: &Device, [count, terms]: [usize; 2], contiguous: bool) -> bool {
    // Barriers are dear on GPUs in software.
    let (few, long) = if tuning(device).fill == 0 { (16, 256) } else { (tuning(device).fill as usize, 32) };
    !device.is_cpu() && terms >= long && (contiguous && tuning(device).fill > 0 || count < few && terms >= 8 * long)
}

/// Whether a sum of products is made as a product of matrices, [M, K] times [K, N]: what is packed has to be used by several rows,
/// and rows have to fill vectors. Measured from 2¹⁴ products on, on two CPU cores and on llvmpipe: 2 to 190 times as fast as `fold`.
pub(crate) fn contracts([m, n, k]: [usize; 3]) -> bool {
    m >= 4 && n >= 4 && m.saturating_mul(n).saturating_mul(k) >= 1 << 12
}

/// The tile of a product with `rows` rows.
pub(crate) fn gemm_tile(device: &Device, rows: usize) -> Tile {
    fit(device, tuning(device).gemm, rows)
}

/// The tile of a staged product of these sizes, on adapters and for products that it suits.
pub(crate) fn staged_tile(device: &Device, p: &GemmParams) -> Option<Tile> {
    let least = tuning(device).staged?;
    let limits = device.plan_limits();
    let along = |size: usize, side: u32| size.div_ceil(side as usize) as u64;
    let groups = |side: u32| along(p.m, side) * along(p.n, side) * p.batch as u64;
    let suits = |&(tile, least): &(Tile, u64)| {
        let of = Of::Gemm { by: By::Staged, vector: true, unbiased: false };
        let bytes = Variant::new(of, tile, 4).workgroup_bytes();
        let allowed = u64::from(tile.lanes) <= limits.invocations && bytes <= limits.workgroup_bytes;
        allowed && groups(16 * tile.rows) >= least
    };
    STAGED.into_iter().zip(least).find(suits).map(|(tile, _)| tile)
}

/// A variant in half precision by units for small matrices, with its own tile, where the device has them and the table takes
/// them: of `gemm` and `step`, for so many rows and terms of a sum.
pub(crate) fn cooperative(device: &Device, variant: &Variant, [rows, terms]: [usize; 2]) -> Option<Variant> {
    // Fewer rows than an edge are better multiplied one by one. Passes that keep what training needs, whose input part is not
    // narrow, and gradients, which may be very small, are multiplied in 32 bits; longer sums would be too many loop trips.
    if !variant.reads.narrow || !tuning(device).cooperative || rows < 16 || terms > 1 << 13 {
        return None;
    }
    let cooperative = variant.by_units(device, rows)?;
    let limits = device.plan_limits();
    let fits = u64::from(cooperative.tile.lanes) <= limits.invocations
        && cooperative.workgroup_bytes() <= limits.workgroup_bytes;
    fits.then_some(cooperative)
}

/// A part of the rows of a sum is this many at least: what it comes to is written and read again, which costs some tens of rows.
const PART_ROWS: usize = 128;

/// The variant for a gradient of a matrix: where lanes are few, its rows are cut into parts, and where it fills their tiles, its operands
/// are staged in workgroup memory.
pub(crate) fn outer(device: &Device, p: &OuterParams) -> Variant {
    let whole = outer_whole(device, p);
    let tuning = tuning(device);
    if device.is_cpu() || tuning.outer_lanes == 0 {
        return whole;
    }
    let limits = device.plan_limits();
    let staged = STAGED.into_iter().filter(|_| tuning.staged.is_some() && whole.of.vector()).find_map(|tile| {
        let variant = Variant { of: Of::Outer { vector: true, staged: true, parts: 1 }, tile, ..whole.clone() };
        let allowed =
            u64::from(tile.lanes) <= limits.invocations && variant.workgroup_bytes() <= limits.workgroup_bytes;
        let variant = in_parts(device, variant, p);
        // Half of a tile's side, and of the smaller tiles half of the lanes, may be idle.
        let fills = p.m.min(p.n) >= 8 * tile.rows as usize;
        let busy = tile == STAGED[1] || 2 * outer_lanes(&variant, p) >= tuning.outer_lanes;
        (allowed && fills && busy).then_some(variant)
    });
    staged.unwrap_or_else(|| in_parts(device, whole, p))
}

/// The same over all rows at once, by lanes that read their operands: as vectors where these are aligned.
pub(crate) fn outer_whole(device: &Device, p: &OuterParams) -> Variant {
    let tile = outer_tile(device, p.m);
    let aligned = [p.n, p.b_offset, p.b_row, p.b_batch].iter().all(|words| words % 4 == 0);
    let vector =
        aligned && (tile.rows == 1 || [p.m, p.a_offset, p.a_row, p.a_batch].iter().all(|words| words % 4 == 0));
    let tile = if vector { tile } else { Tile { spread: 0, ..tile } };
    Variant::new(Of::outer(vector), tile, device.panel())
}

/// Lanes of all workgroups.
fn outer_lanes(variant: &Variant, p: &OuterParams) -> usize {
    let groups = workgroups(variant, &p.words()).iter().product::<u64>();
    usize::try_from(groups).unwrap_or(usize::MAX).saturating_mul(variant.tile.lanes as usize)
}

/// The variant with its rows cut into as many parts as come to the lanes that the table asks for: a power of two, for every number is a
/// shader.
fn in_parts(device: &Device, variant: Variant, p: &OuterParams) -> Variant {
    let limits = device.plan_limits();
    // A sum of rows alone is cut so that adding up the parts takes no longer than a part.
    let least = if p.m == 1 { (PART_ROWS / 4).max(p.to.isqrt()) } else { PART_ROWS };
    let wanted = tuning(device).outer_lanes.div_ceil(outer_lanes(&variant, p).max(1)).next_power_of_two();
    let words = p.m * p.n;
    // The parts are added up as rows: of one matrix, whose lanes fit on an axis.
    let joins = (p.m == 1 || p.c_row == p.n) && words as u64 / 256 < limits.workgroups;
    let most = (limits.binding_bytes / 4 / (2 * p.batch * words).max(1) as u64).min(MOST_PARTS);
    let most = usize::try_from(most).unwrap_or(usize::MAX).min(p.to / least).min(wanted);
    let (Of::Outer { vector, staged, .. }, true) = (variant.of, joins && p.to >= 2 * PART_ROWS && most > 1) else {
        return variant;
    };
    Variant { of: Of::Outer { vector, staged, parts: 1 << most.ilog2() }, ..variant }
}

/// Parts of a sum, which is few rows to add up.
const MOST_PARTS: u64 = 128;

/// The tile of a gradient of a matrix with `rows` rows.
pub(crate) fn outer_tile(device: &Device, rows: usize) -> Tile {
    let largest = tuning(device).outer;
    // Whole vectors of rows, or a row alone.
    let rows = u32::try_from(rows).unwrap_or(u32::MAX);
    let rows = if rows < 4 { 1 } else { (rows / 4).next_power_of_two().saturating_mul(4).min(largest.rows) };
    let tile = fit(device, Tile { spread: 0, ..largest }, largest.rows as usize);
    let shares = largest.spread > 0 && device.report().is_some_and(|report| report.has_subgroups_of(rows / 4));
    Tile { rows, spread: if shares && rows > 4 { rows / 4 } else { 0 }, ..tile }
}

/// The tile of a step of a phase with `gates` gates, for so many units, running sequences, and tracks: fewer columns where there would be too
/// few lanes, even with their sums split.
pub(crate) fn step_tile(device: &Device, gates: usize, [units, running, tracks]: [usize; 3]) -> Tile {
    let tuning = tuning(device);
    let tile = tuning.step;
    let mut tile = fit(device, Tile { columns: (tile.columns / gates as u32).max(1), ..tile }, running);
    let rows = (tracks * running).div_ceil(tile.rows as usize);
    let lanes = |columns: u32| units.div_ceil(columns as usize) * rows * tuning.split as usize;
    while !device.is_cpu() && tile.columns > 1 && lanes(tile.columns) < 2 * tuning.fill as usize {
        tile.columns /= 2;
    }
    tile
}

/// The variant with its sums split, where there are too few lanes to keep a device busy: of `units` units and `panels` vectors
/// of terms, for so many rows of sequences in all directions or layers.
pub(crate) fn split(device: &Device, variant: Variant, [units, panels, rows]: [usize; 3]) -> Variant {
    let tuning = tuning(device);
    let tile = variant.tile;
    if device.is_cpu() || tuning.split < 2 || tile.spread > 0 {
        return variant;
    }
    let limits = device.plan_limits();
    let lanes = units.div_ceil(tile.columns as usize) * rows.div_ceil(tile.rows as usize);
    let fits = |variant: &Variant| {
        u64::from(variant.invocations()) <= limits.invocations.min(256)
            && variant.workgroup_bytes() <= limits.workgroup_bytes.min(16 << 10)
            && variant.of.split() as usize <= panels
            && lanes * (variant.of.split() as usize) < 2 * tuning.fill as usize
    };
    let powers = std::iter::successors(Some(tuning.split), |split| Some(split / 2)).take_while(|&split| split > 1);
    powers.filter_map(|split| variant.with_split(split)).find(fits).unwrap_or(variant)
}

/// How `sequence` runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sequence {
    pub tile: Tile,
    /// Width of a row of the state in workgroup memory.
    pub state_width: u32,
    /// Whether lanes keep their weights.
    pub resident: bool,
}

/// How `sequence` runs; none where the state does not fit into workgroup memory, or a step is too long.
pub(crate) fn sequence(device: &Device, config: &RnnConfig, [steps, batch]: [usize; 2]) -> Option<Sequence> {
    resident(device, config, [steps, batch]).or_else(|| {
        let (tile, width) = rows_tile(device, config, batch, state_width(config), sequence_of)?;
        Some(Sequence { tile, state_width: width, resident: false })
    })
}

fn state_width(config: &RnnConfig) -> usize {
    config.hidden.max(config.state_size().next_multiple_of(4))
}

/// `sequence` with weights that stay in their lanes, where that is fastest.
fn resident(device: &Device, config: &RnnConfig, [steps, batch]: [usize; 2]) -> Option<Sequence> {
    // Fewer steps are not worth reading the weights by one workgroup.
    const LEAST_STEPS: usize = 4;
    if device.is_cpu() || steps < LEAST_STEPS {
        return None;
    }
    // Sums that lanes share are added up in another order: chunks of a stream would differ.
    let suits = tuning(device).resident.filter(|_| tuning(device).split < 2)?;
    let [phase] = config.phases() else { return None };
    let width = few_widths(state_width(config)).max(suits.spread);
    let chosen = phase.gates * width as usize <= suits.weights
        && batch * config.tracks() <= suits.batch
        && device.report().is_some_and(|report| report.has_subgroups_of(suits.spread))
        && width <= device.plan_limits().invocations.min(256) as u32;
    // One workgroup at least for each core.
    let mut rows = batch.next_power_of_two().min(suits.rows);
    while rows > 1 && batch.div_ceil(rows) * config.tracks() < cores() {
        rows /= 2;
    }
    let tile = Tile { rows: rows as u32, columns: 1, lanes: width, spread: suits.spread };
    chosen.then_some(Sequence { tile, state_width: width, resident: true })
}

/// How `sequence_backward` runs, which keeps gate gradients in workgroup memory; none where they don't fit.
pub(crate) fn sequence_backward(device: &Device, config: &RnnConfig, batch: usize) -> Option<Sequence> {
    let gates = config.phases().iter();
    let width = gates.map(|phase| (phase.gates * size(config, phase.units)).next_multiple_of(4)).max();
    let (tile, width) = rows_tile(device, config, batch, width.unwrap_or(0), |form, state_width| {
        Of::SequenceBackward { form, state_width }
    })?;
    Some(Sequence { tile, state_width: width, resident: false })
}

/// `sequence`, for the sizes of its rows.
fn sequence_of(form: Form, state_width: u32) -> Of {
    Of::Sequence { form, keep: false, state_width, resident: false }
}

/// Tile and row width of a kernel that keeps rows of this width in workgroup memory; none where they don't fit.
fn rows_tile(
    device: &Device,
    config: &RnnConfig,
    batch: usize,
    width: usize,
    of: fn(Form, u32) -> Of,
) -> Option<(Tile, u32)> {
    let width = few_widths(width);
    if device.is_cpu() {
        let tasks = threads::count().div_ceil(config.tracks());
        let rows = batch.div_ceil(tasks).max(1) as u32;
        return Some((Tile { rows, columns: 1, lanes: 1, spread: 0 }, width));
    }
    let most = device.plan_limits().workgroup_bytes.min(16 << 10);
    let of = of(config.form(), width);
    let fits = |tile: &Tile| Variant::new(of, *tile, 4).workgroup_bytes() <= most;
    let mut tile = fit(device, tuning(device).sequence, batch);
    while tile.rows > 1 && !fits(&tile) {
        tile.rows /= 2;
    }
    let (_, step) = trips(config, tile, width, of.kernel());
    (fits(&tile) && 2 * step < MAX_TRIPS).then_some((tile, width))
}

/// Tile and row width of `grid`, and what its rescue by `sequence` takes; none where either can't be.
pub(crate) fn grid_tile(device: &Device, config: &RnnConfig, batch: usize) -> Option<Grid> {
    if device.is_cpu() {
        return None;
    }
    let (tile, sequence_width) = rows_tile(device, config, batch, state_width(config), sequence_of)?;
    let rescue = Sequence { tile, state_width: sequence_width, resident: false };
    let phases = config.phases().iter();
    let widths = phases.map(|phase| size(config, phase.units).max(size(config, phase.source)).next_multiple_of(4));
    let width = few_widths(widths.max()?);
    let most = device.plan_limits().workgroup_bytes.min(16 << 10);
    let of = Of::Grid { form: config.form(), state_width: width };
    let fits = |tile: &Tile| Variant::new(of, *tile, 4).workgroup_bytes() <= most;
    let mut tile = Tile { spread: 0, ..fit(device, tuning(device).grid, batch) };
    while tile.rows > 1 && !fits(&tile) {
        tile.rows /= 2;
    }
    let (edges, step) = trips(config, tile, width, Kernel::Grid);
    let steps = usize::try_from(MAX_TRIPS.saturating_sub(edges) / step).ok()?;
    (fits(&tile) && steps > 0).then_some(Grid { tile, state_width: width, steps, rescue })
}

/// How `grid` runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub tile: Tile,
    pub state_width: u32,
    /// Most steps of a dispatch.
    pub steps: usize,
    /// Tile and width of the `sequence` that stands by.
    pub rescue: Sequence,
}

impl Grid {
    /// Workgroups of a dispatch, all of which have to run side by side.
    fn workgroups(&self, config: &RnnConfig, batch: usize) -> usize {
        let units = config.hidden.max(config.state_size());
        units.div_ceil(self.tile.lanes as usize) * batch.div_ceil(self.tile.rows as usize) * config.tracks()
    }
}

/// Few widths, few shaders.
fn few_widths(width: usize) -> u32 {
    (if width <= 64 { width.next_power_of_two() } else { width.next_multiple_of(64) }) as u32
}

/// Steps that one dispatch of `sequence` may take.
pub(crate) fn sequence_steps(device: &Device, config: &RnnConfig, form: &Sequence) -> usize {
    steps(device, config, form.tile, form.state_width, Kernel::Sequence)
}

/// Steps that one dispatch of `sequence_backward` may take.
pub(crate) fn sequence_backward_steps(device: &Device, config: &RnnConfig, form: &Sequence) -> usize {
    steps(device, config, form.tile, form.state_width, Kernel::SequenceBackward)
}

/// Multiplications of a step of one sequence.
fn work(config: &RnnConfig) -> usize {
    config.state_size().saturating_mul(config.cell.gates()).saturating_mul(config.hidden)
}

/// Whether steps are so small that many of them in a dispatch are faster than one, forward and backward.
pub(crate) fn is_small(device: &Device, config: &RnnConfig, batch: usize) -> bool {
    let work = work(config);
    if device.is_cpu() {
        // A thread for each tile of the batch, each of which reads all weights at every step: larger ones than a core's
        // cache holds are better shared out, as is a large product alone.
        return work < if batch * config.tracks() >= threads::count() { 1 << 19 } else { 1 << 18 };
    }
    let tuning = tuning(device);
    work.saturating_mul(batch.min(tuning.sequence.rows as usize)) <= tuning.sequence_work
        && rows_tile(device, config, batch, state_width(config), sequence_of).is_some()
}

fn steps(device: &Device, config: &RnnConfig, tile: Tile, width: u32, kernel: Kernel) -> usize {
    if device.is_cpu() {
        return usize::MAX;
    }
    let (edges, step) = trips(config, tile, width, kernel);
    usize::try_from(MAX_TRIPS.saturating_sub(edges) / step).unwrap_or(usize::MAX).max(1)
}

fn size(config: &RnnConfig, width: Width) -> usize {
    width.of(config.hidden, config.state_size())
}

/// Loop trips of `sequence` or `sequence_backward` for a configuration: around its steps, and in each of them.
fn trips(config: &RnnConfig, tile: Tile, width: u32, kernel: Kernel) -> (u64, u64) {
    let phases = config.phases();
    let product = |(i, phase): (usize, &Phase)| {
        let next = &phases[(i + 1) % phases.len()];
        let terms = if kernel != Kernel::SequenceBackward {
            size(config, phase.source)
        } else {
            next.gates * size(config, next.units)
        };
        PhaseParams { units: size(config, phase.units), panels: terms.div_ceil(4), ..PhaseParams::default() }
    };
    let products = phases.iter().enumerate().map(product);
    if kernel == Kernel::Grid { grid_trips(tile, width, products) } else { sequence_trips(tile, width, products) }
}

impl Schedule {
    /// The schedule that this choice leads to on a device, for a layer and this many steps and sequences: any but `Auto`.
    /// The first time that `Grid` is a candidate, this runs the trial for it on the device. For sizes that every call
    /// refuses, the result is `Step`.
    pub fn resolve(self, device: &Device, config: &RnnConfig, steps: usize, batch: usize) -> Self {
        if config.cell.scan().is_some() {
            return Self::Step;
        }
        if self != Self::Auto {
            return self;
        }
        let shape = config.sequence_shape(steps, batch, config.input);
        if config.validate().is_err() || sequence_sizes(config, &shape).is_err() {
            return Self::Step;
        }
        if is_small(device, config, batch) || resident(device, config, [steps, batch]).is_some() {
            return Self::Sequence;
        }
        let work = work(config);
        if !device.is_cpu()
            && batch * config.tracks() == 1
            && work <= tuning(device).grid_work
            && let Some(grid) = grid_tile(device, config, batch)
            && grid.workgroups(config, batch) <= device.side_by_side()
        {
            return Self::Grid;
        }
        if !device.is_cpu() && joins(device, config) && work.saturating_mul(batch) <= tuning(device).wave_work {
            return Self::Wavefront;
        }
        Self::Step
    }
}

impl Variant {
    /// This variant of `gemm` or `step` by a device's units for small matrices, for a number of rows; none where it has no such
    /// units.
    pub(crate) fn by_units(&self, device: &Device, rows: usize) -> Option<Self> {
        self.with_units(|lanes| device.cooperative(lanes), rows)
    }
}
