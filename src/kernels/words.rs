//! Sizes in words, and what kernels have in common that count them.

use super::kernel::Kernel;
use super::packed::Packed;
use super::params::{PhaseParams, RowParams};
use super::table::Maxima;
use super::tile::{FLAT, Tile};
use super::variant::Variant;

/// The binding of the map in kernels that look rows up.
pub(super) const MAP: usize = 2;

/// A parameter as a 64-bit word, so that sums and products do not overflow.
pub(super) fn u(size: impl TryInto<u64>) -> u64 {
    size.try_into().unwrap_or(u64::MAX)
}

/// Vectors of a packed matrix.
pub(super) fn packed_vectors(rows: u64, columns: u64, panel: u64) -> u64 {
    Packed { rows: rows as usize, columns: columns as usize, panel: panel as usize }.vectors() as u64
}

/// Workgroups of kernels with one element an invocation, in rows of the grid of `row_lanes`.
pub(super) fn flat(variant: &Variant, elements: u64, row_lanes: usize) -> [u64; 3] {
    [u(row_lanes) / u(variant.tile.lanes), elements.div_ceil(u(row_lanes).max(1)), 1]
}

/// How rows are looked up in `gemm` and `outer`.
pub(super) struct Map {
    pub mapped: u32,
    pub offset: usize,
    pub batch: usize,
    /// Where the first row of this part and the end of it stand in the map, if they differ.
    pub part: (usize, usize),
}

/// What looking rows up reaches.
pub(super) struct Found {
    /// The last row.
    pub last: u64,
    /// The largest row that the map gives, in any batch.
    pub largest: u64,
    /// Words of the map.
    pub words: u64,
}

impl Map {
    /// What at most `rows` rows reach, in each batch up to `last`.
    pub fn rows(&self, rows: u64, last: u64, maxima: Maxima<'_>) -> Found {
        let (first, end) = self.part;
        let mut start = u(self.offset);
        let (mut rows, mut words) = (rows, 0);
        if first != end {
            words = u(first.max(end)) + 1;
            let from = maxima(MAP, u(first), 1);
            start += from;
            rows = rows.min(maxima(MAP, u(end), 1).saturating_sub(from));
        }
        if self.mapped == 0 {
            return Found { last: rows.saturating_sub(1), largest: 0, words };
        }
        words = words.max(start + last * u(self.batch) + rows);
        let largest = (0..=last).map(|b| maxima(MAP, start + b * u(self.batch), rows)).max().unwrap_or(0);
        Found { last: rows.saturating_sub(1), largest, words }
    }
}

/// The rows that a recurrent dispatch reaches: in the map, among those of the chunk, and the sequences that take part.
pub(super) struct StepRows {
    pub first: u64,
    pub count: u64,
    pub in_chunk: u64,
    pub running: u64,
}

impl StepRows {
    pub fn new(one_step: bool, [offsets, chunk, steps]: [usize; 3], maxima: Maxima<'_>) -> Self {
        let offset = |at: u64| maxima(MAP, u(offsets) + at, 1);
        let first = offset(0);
        let end = offset(if one_step { 1 } else { u(steps) });
        // A chunk that begins later than its first step reaches nowhere.
        let in_chunk = first.checked_sub(maxima(MAP, u(chunk), 1)).unwrap_or(u64::from(u32::MAX));
        Self { first, count: end.saturating_sub(first), in_chunk, running: offset(1).saturating_sub(first) }
    }

    /// The last row of the chunk.
    pub const fn last_in_chunk(&self) -> u64 {
        (self.in_chunk + self.count).saturating_sub(1)
    }

    /// Words that are reached of the caller's array, whose rows have `units` numbers of each track side by side, and of the
    /// map that tells its rows: none of either where the array has no stride.
    pub fn output(&self, p: &RowParams, [offset, stride]: [usize; 2], units: u64, maxima: Maxima<'_>) -> (u64, u64) {
        if stride == 0 {
            return (0, 0);
        }
        let last = u(p.tracks).saturating_sub(1);
        let first = |track: u64| self.first + track * u(p.map_track);
        let row = (0..=last).map(|track| maxima(MAP, first(track), self.count)).max().unwrap_or(0);
        (u(offset) + row * u(stride) + last * units + units, first(last) + self.count)
    }
}

/// Loop trips of `sequence` and its backward half: around its steps, and in each of them.
pub(crate) fn sequence_trips(tile: Tile, width: u32, phases: impl IntoIterator<Item = PhaseParams>) -> (u64, u64) {
    let [rows, lanes] = [tile.rows, tile.lanes].map(u);
    let edges = 3 * (rows * u(width)).div_ceil(lanes);
    let phases =
        phases.into_iter().map(|phase| (phase.units as u64).div_ceil(lanes) * (phase.panels as u64 + 1 + rows));
    (edges, phases.sum::<u64>() + 1)
}

/// Loop trips over a row of `argmax`, `cross_entropy` or `sample`.
pub(super) fn row_trips(kernel: Kernel, tile: Tile, columns: u64) -> u64 {
    let loops = match kernel {
        Kernel::Argmax => 1,
        Kernel::CrossEntropy => 4,
        // 32 bits of each of two thresholds, and what stands around these searches.
        _ => 2 * 32 + 8,
    };
    // Most loops are followed by one that adds up what the lanes have.
    loops * (columns.div_ceil(u(tile.lanes * tile.columns)) + 10) + 2 * u(tile.lanes)
}

/// The tile of `argmax`, `cross_entropy` or `sample` over rows of this many columns: a lane takes as many columns a loop trip as keep its
/// trips within a limit. Of long rows `sample` has more lanes: its many loops are written out so many times, and SwiftShader takes minutes and
/// gigabytes to compile dozens of them.
pub(crate) fn row_tile(kernel: Kernel, columns: usize, trips: u64) -> Tile {
    let lanes = if kernel == Kernel::Sample && columns > 4096 { 256 } else { FLAT.lanes };
    let mut tiles = (0..=6).map(|power| Tile { columns: 1 << power, lanes, ..FLAT });
    let fits = |tile: &Tile| row_trips(kernel, *tile, columns as u64) <= trips;
    tiles.clone().find(fits).or_else(|| tiles.next_back()).unwrap_or(FLAT)
}
