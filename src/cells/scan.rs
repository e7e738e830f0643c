//! What a cell without a matrix R has in place of phases.

use super::linear::{Diagonal, Linear, ScanTwin, diagonal, linear};

/// A cell without a matrix R. Its state follows the linear recurrence s' = a⊙s + b, or its R is a diagonal.
#[derive(Debug)]
pub struct Scan {
    /// Name of the WGSL functions, and of their file in `shaders/cells`.
    pub name: &'static str,
    /// The WGSL source text of that file.
    pub wgsl: &'static str,
    /// Number of gates.
    pub gates: usize,
    /// Whether the state s is c, from which h is computed. Otherwise s is h itself.
    pub has_c: bool,
    /// Whether R is a diagonal. Then the steps cannot be cut into parts that run side by side. Otherwise there is no R.
    pub diagonal: bool,
    pub(crate) twin: ScanTwin,
}

impl Scan {
    /// A linear recurrence of G gates: the WGSL functions whose names begin with `name`, the text of their file, and their twin.
    pub(super) const fn linear<const G: usize, T: Linear<G>>(
        name: &'static str,
        wgsl: &'static str,
        has_c: bool,
    ) -> Self {
        Self { name, wgsl, gates: G, has_c, diagonal: false, twin: linear::<G, T> }
    }

    /// The same of a cell whose R is a diagonal.
    pub(super) const fn diagonal<T: Diagonal>(name: &'static str, wgsl: &'static str) -> Self {
        Self { name, wgsl, gates: 1, has_c: false, diagonal: true, twin: diagonal::<T> }
    }
}
