//! How much of an output an invocation or a workgroup takes.

use serde::{Deserialize, Serialize};

/// Which of a kernel's workgroups are numbered on over two axes where there are many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wraps {
    /// Those along y and z, in both.
    Rows,
    /// Those along x, in x and y.
    Columns,
}

/// The part of an output that one invocation or workgroup takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Tile {
    /// Rows (`gemm`, `outer`) or sequences (`step`, `sequence` and their backward kernels) of an invocation or a workgroup.
    pub rows: u32,
    /// Columns (`gemm`) or units (`step`) of an invocation. `outer` always takes four columns.
    pub columns: u32,
    /// Invocations of a workgroup.
    pub lanes: u32,
    /// How many lanes of a subgroup share what they load; 0 if each lane loads everything that it needs.
    pub spread: u32,
}

impl Tile {
    /// A tile whose lanes share nothing that they load.
    pub const fn new(rows: u32, columns: u32, lanes: u32) -> Self {
        Self { rows, columns, lanes, spread: 0 }
    }
}

/// Workgroup memory of a staged `gemm`: two stages of two operands, a vector for each lane.
pub(super) const STAGED_BYTES: u64 = 2 * 2 * 256 * 16;

/// An adapter's units for products of small matrices, which the subgroups of a workgroup share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Cooperative {
    /// Rows and columns of the matrices that one multiplication takes: 8 or 16.
    pub edge: u32,
    /// The least number of subgroups of a workgroup.
    pub subgroups: u32,
}

impl Cooperative {
    /// A workgroup of `gemm`: its rows, columns and lanes.
    pub(crate) const GEMM: Tile = Tile::new(64, 64, 256);

    /// A workgroup of `step` for so many sequences and gates: its rows, units and lanes.
    pub(crate) const fn step(batch: usize, gates: usize) -> Tile {
        let rows = if batch > 16 { 32 } else { 16 };
        Tile::new(rows, 64 / gates as u32 / 16 * 16, 8 * rows)
    }
}

/// Numbers of a row that a stage of a cooperative product takes, with those between rows.
pub(crate) const COOPERATIVE_PITCH: u64 = 40;

/// Tiles of a staged `gemm`: rows and columns of a lane, the larger one first.
pub(crate) const STAGED: [Tile; 2] = [Tile::new(8, 8, 256), Tile::new(4, 4, 256)];

/// Kernels that work on single elements need no more than this.
pub(crate) const FLAT: Tile = Tile::new(1, 1, 64);

/// Nor one that decides by itself more than this.
pub(crate) const ALONE: Tile = Tile { lanes: 1, ..FLAT };

/// Steps, or columns, that a lane of `attend` takes at once, as in its shader.
pub(super) const fn attended_at_once(lanes: u64) -> u64 {
    if lanes <= 32 { 8 } else { 2 }
}
