//! What is chosen for an adapter: one table, a row for each class; or a row measured on the adapter itself.

use super::report::{AdapterReport, Class};
use crate::kernels::{Kernel, Tile};
use serde::{Deserialize, Serialize};

/// What is chosen for a class of adapter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tuning {
    /// Largest register tile of `gemm`.
    pub gemm: Tile,
    /// Whether `gemm` stages its operands in workgroup memory where it has enough to do: from how many workgroups on, for
    /// each of the [`STAGED`](crate::kernels::STAGED) tiles.
    pub staged: Option<[u64; 2]>,
    /// Largest register tile of `outer`: rows, always by four columns. Where lanes share, as many do as
    /// there are vectors of rows.
    pub outer: Tile,
    /// Lanes that the parts of a sum over rows by `outer` should come to together, which may then be staged too; 0 where sums are
    /// not cut.
    pub outer_lanes: usize,
    /// Largest register tile of `step`; its columns are sums: gates times units.
    pub step: Tile,
    /// Lanes of a workgroup of `sequence`, and most sequences it takes.
    pub sequence: Tile,
    /// Units of a workgroup of `grid`, its lanes, and most sequences it takes.
    pub grid: Tile,
    /// `grid` may be chosen up to this many multiplications a step, H times G·H, for a single sequence that reads in one
    /// direction, where progress was shown. On an NVIDIA H200 measured with H from 64 to 1024 and N from 1 to 64: more
    /// sequences, or more work, are faster by `step`.
    pub grid_work: usize,
    /// `sequence` is chosen up to this many multiplications a step: H times G·H for each sequence of its tile. The point where
    /// `step` becomes as fast: on software adapters measured with H from 4 to 64 and N 1 and 8; on an NVIDIA H200 between an
    /// LSTM's H of 96 and 128, a GRU's of 96 and 128, and a plain network's of 128 and 256, whatever N.
    pub sequence_work: usize,
    /// When lanes of `sequence` keep their weights over all steps.
    pub resident: Option<Resident>,
    /// `wave` is chosen up to this many multiplications a step of a layer, N times H times G·H: where a dispatch takes longer
    /// to begin than to compute. A guess, where it is not 0.
    pub wave_work: usize,
    /// Most lanes that share sums in `step`, `wave` and `step_backward`, where there are fewer lanes than `fill` otherwise.
    pub split: u32,
    /// Lanes that keep the adapter busy.
    pub fill: u32,
    /// Most lanes of a row of `norm_step` and its backward half: a power of two.
    pub norm_lanes: u32,
    /// Lanes that a scan's parts together should come to.
    pub scan_lanes: usize,
    /// Whether layers in half precision are multiplied by units for small matrices, where the device was opened with them.
    pub cooperative: bool,
    /// Whether packed matrices are read from textures.
    pub texture: bool,
    /// Whether rows that are multiplied are read through windows of uniform buffers.
    pub uniform: bool,
}

/// When lanes of `sequence` keep their weights over all steps: for cells with one product a step, from a few steps on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Resident {
    /// Most weights of a lane.
    pub weights: usize,
    /// Most sequences of a workgroup.
    pub rows: usize,
    /// Most sequences, of all directions.
    pub batch: usize,
    /// Lanes that share what they read of the state.
    pub spread: u32,
}

/// GPUs in software run a few lanes as one vector; sharing loads between them saves most gathers.
pub(super) const SOFTWARE: Tuning = Tuning {
    gemm: Tile { rows: 16, columns: 4, lanes: 32, spread: 8 },
    staged: None,
    outer: Tile { rows: 16, columns: 4, lanes: 32, spread: 4 },
    outer_lanes: 0,
    step: Tile { rows: 16, columns: 4, lanes: 32, spread: 8 },
    sequence: Tile { rows: 8, columns: 1, lanes: 64, spread: 0 },
    grid: Tile { rows: 4, columns: 1, lanes: 64, spread: 0 },
    grid_work: 0,
    sequence_work: 1 << 15,
    resident: Some(Resident { weights: 1 << 10, rows: 4, batch: 16, spread: 8 }),
    split: 1,
    fill: 0,
    norm_lanes: 32,
    scan_lanes: 0,
    wave_work: 0,
    cooperative: false,
    texture: true,
    uniform: true,
};

/// Mesa before 24 loads from buffers with a loop over the lanes, 15 times as dear as from textures and uniform buffers: fewer
/// loads are worth more sums.
pub(super) const OLD_MESA: Tuning = Tuning {
    outer: Tile { rows: 32, columns: 4, lanes: 32, spread: 8 },
    sequence_work: 1 << 13,
    resident: Some(Resident { weights: 1 << 10, rows: 4, batch: 4, spread: 8 }),
    ..SOFTWARE
};

/// Few cores with a small register file.
pub(super) const INTEGRATED: Tuning = Tuning {
    gemm: Tile { rows: 8, columns: 2, lanes: 64, spread: 0 },
    staged: None,
    outer: Tile { rows: 8, columns: 4, lanes: 64, spread: 0 },
    outer_lanes: 0,
    step: Tile { rows: 4, columns: 4, lanes: 64, spread: 0 },
    sequence: Tile { rows: 4, columns: 1, lanes: 128, spread: 0 },
    grid: Tile { rows: 4, columns: 1, lanes: 64, spread: 0 },
    grid_work: 0,
    sequence_work: 1 << 14,
    resident: None,
    split: 1,
    fill: 0,
    norm_lanes: 128,
    scan_lanes: 1 << 12,
    wave_work: 1 << 20,
    cooperative: true,
    texture: false,
    uniform: false,
};

/// Many cores: smaller tiles fill more of them.
pub(super) const DISCRETE: Tuning = Tuning {
    gemm: Tile { rows: 8, columns: 2, lanes: 64, spread: 0 },
    staged: Some(Tuning::STAGED),
    outer: Tile { rows: 8, columns: 4, lanes: 64, spread: 0 },
    outer_lanes: 1 << 17,
    step: Tile { rows: 4, columns: 4, lanes: 32, spread: 0 },
    sequence: Tile { rows: 1, columns: 1, lanes: 256, spread: 0 },
    grid: Tile { rows: 4, columns: 1, lanes: 32, spread: 0 },
    grid_work: 1 << 18,
    sequence_work: 40 << 10,
    resident: None,
    split: 8,
    fill: Tuning::FILL,
    norm_lanes: 256,
    scan_lanes: 1 << 16,
    wave_work: 1 << 24,
    cooperative: true,
    texture: false,
    uniform: false,
};

/// 22 of the driver `llvmpipe Mesa 22.3.6 (LLVM 15.0.6)`.
fn mesa_version(report: &AdapterReport) -> Option<u32> {
    let (_, version) = report.driver.split_once("Mesa ")?;
    version.split('.').next()?.parse().ok()
}

impl Tuning {
    /// A tile for each of the compute units of a middling GPU, or as many smaller ones.
    pub const STAGED: [u64; 2] = [48, 32];
    /// Some for each lane of a middling GPU.
    pub const FILL: u32 = 1 << 14;

    /// The row of the table for an adapter of a class.
    pub fn of(class: Class, report: &AdapterReport) -> Self {
        match class {
            Class::Cpu => SOFTWARE,
            Class::Software if mesa_version(report).is_some_and(|major| major < 24) => OLD_MESA,
            Class::Software => SOFTWARE,
            Class::Integrated => INTEGRATED,
            Class::Discrete => DISCRETE,
        }
    }

    /// The tiles that a kernel may run with: full, for one row, and without shared loads.
    pub fn tiles(&self, kernel: Kernel) -> [Tile; 3] {
        let tile = match kernel {
            Kernel::Gemm => self.gemm,
            Kernel::Outer => self.outer,
            Kernel::Step | Kernel::StepBackward | Kernel::Wave => self.step,
            Kernel::Grid => self.grid,
            _ => self.sequence,
        };
        [tile, Tile { rows: 1, spread: 0, ..tile }, Tile { spread: 0, ..tile }]
    }
}
