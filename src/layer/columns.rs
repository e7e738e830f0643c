//! The columns of a row of the reserve.

use crate::cells::{Form, Width};

/// The columns of a row of the reserve: each phase's gates with what else its derivative needs, as its cell lists them;
/// then what the first phase gave to the second, if there is one; then what was normed, if something was; then the old h, and
/// behind it what training draws and the h without its mask. A forward pass without training has the gates' columns only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    /// The first column of each phase: [numbers kept, units of the phase].
    pub gates: [usize; 2],
    /// The first column that each phase's derivative sees: [fields, units of the phase].
    pub fields: [usize; 2],
    /// What the first phase gave to the second: [H], if there are two.
    pub between: usize,
    /// The old h: [P or H]; behind it [2 at most, P or H], what training draws and the h without its mask.
    pub source: usize,
    /// Where there are layer norms: the normed products of W [G, H], of R [G, H], and the normed c [H].
    pub normed: usize,
    /// Their factors 1/σ: [5].
    pub scales: usize,
    /// The columns of a row, rounded up to whole vectors of four.
    pub width: usize,
}

impl Columns {
    pub fn new(form: &Form, hidden: usize, state: usize) -> Self {
        let phases = form.phases();
        let mut columns = Self { gates: [0; 2], fields: [0; 2], between: 0, source: 0, normed: 0, scales: 0, width: 0 };
        let mut at = 0;
        for (i, phase) in phases.iter().enumerate() {
            columns.gates[i] = at;
            // A projection has a column of its own; other derivatives see all gates of their cell.
            columns.fields[i] = if phase.units == Width::State { at } else { 0 };
            // The projection keeps nothing forwards, but leaves its gradient.
            let kept = if phase.input { phase.kept } else { phase.fields };
            at += kept * phase.units.of(hidden, state);
        }
        // A cell without R keeps its gates' sums, and has a column more for what the gradient of a diagonal is the sum of.
        at += form.cell.scan().map_or(0, |scan| (scan.gates + usize::from(scan.diagonal)) * hidden);
        columns.between = at;
        at += if phases.len() > 1 { hidden } else { 0 };
        if let Some(norm) = form.norm() {
            columns.normed = at;
            at += (2 * norm.groups.len() + usize::from(norm.has_c)) * hidden;
        }
        columns.source = at;
        // Last, since they are no whole number of vectors.
        columns.scales = at + state;
        let scales = if form.norm().is_some() { 5 } else { 0 };
        columns.width = (at + (1 + form.drawn_columns()) * state + scales).next_multiple_of(4);
        columns
    }
}
