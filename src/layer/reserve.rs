//! What training keeps of a forward pass, row by row.

use crate::cells::{Cell, Width};

/// The columns of a row of the reserve: each phase's gates with what else its derivative needs, as its cell lists them;
/// then what the first phase gave to the second, if there is one; then the old h. A forward pass without training has the
/// gates' columns only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    /// First column of each phase.
    pub gates: [usize; 2],
    /// First column that each phase's derivative sees.
    pub fields: [usize; 2],
    pub between: usize,
    /// The old h.
    pub source: usize,
    /// All, as whole vectors.
    pub width: usize,
}

impl Columns {
    pub fn new(cell: Cell, projected: bool, hidden: usize, state: usize) -> Self {
        let phases = cell.phases(projected);
        let mut columns = Self { gates: [0; 2], fields: [0; 2], between: 0, source: 0, width: 0 };
        let mut at = 0;
        for (i, phase) in phases.iter().enumerate() {
            columns.gates[i] = at;
            // A projection has a column of its own; other derivatives see all gates of their cell.
            columns.fields[i] = if phase.units == Width::State { at } else { 0 };
            // The projection keeps nothing forwards, but leaves its gradient.
            let kept = if phase.input { phase.kept } else { phase.fields };
            at += kept * phase.units.of(hidden, state);
        }
        columns.between = at;
        at += if phases.len() > 1 { hidden } else { 0 };
        columns.source = at;
        columns.width = (at + state).next_multiple_of(4);
        columns
    }
}
