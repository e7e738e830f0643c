//! A phase: the part of a step that one dispatch can do, of a cell with a matrix R.

use super::derivative::{BackwardTwin, Derivative, derivative};
use super::forward::{Gates, PhaseTwin, pointwise};

/// How wide the vectors of a phase are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Width {
    /// H, hidden units.
    Hidden,
    /// The width of h: P with a projection, else H.
    State,
}

impl Width {
    /// This one of two widths.
    pub(crate) fn of<T>(self, hidden: T, state: T) -> T {
        match self {
            Self::Hidden => hidden,
            Self::State => state,
        }
    }
}

/// The part of a time step that one dispatch can do: one recurrent product and the gates that follow it.
#[derive(Debug)]
pub struct Phase {
    /// Name of the WGSL function; the one of its derivative ends in `_backward`.
    pub name: &'static str,
    /// Text of its file in `shaders/cells`, a template.
    pub wgsl: &'static str,
    /// Number of gates, which is how many sums the product gives for each unit.
    pub gates: usize,
    /// How many numbers for each unit pass from phase to phase, or from step to step.
    pub slots: usize,
    /// Whether x·Wᵀ is added (a projection has none).
    pub input: bool,
    /// Whether the gates need the unit's h from before the step.
    pub hidden: bool,
    /// Which width is the number of units that this phase computes.
    pub units: Width,
    /// Which width is the length of the vector that this phase multiplies.
    pub source: Width,
    /// How many numbers for each unit training keeps in the reserve, the gates first.
    pub kept: usize,
    /// Columns of the reserve that its derivative sees and leaves gradients in: its own, or all that its cell keeps. None where
    /// there is no derivative: the cell runs forward only.
    pub fields: usize,
    /// Where the derivative leaves the gradients of the recurrent parts of the gates: pairs of first column and number
    /// of columns.
    pub recurrent: &'static [(usize, usize)],
    /// Whether the derivative needs the unit's h from before the step.
    pub hidden_backward: bool,
    /// Whether the derivative takes the part of the gradient of h that does not come through the product with R, and
    /// leaves such a part for the step before.
    pub carries_h: bool,
    /// How many numbers of c for each unit have a gradient that is carried from step to step.
    pub carried: usize,
    /// Whether it uses functions of `shaders/activations.wgsl` in its usual form too.
    pub uses_activations: bool,
    pub(crate) twin: PhaseTwin,
    pub(crate) backward: BackwardTwin,
}

impl Phase {
    /// What most phases have in common.
    const PLAIN: Self = Self {
        name: "",
        wgsl: "",
        gates: 0,
        slots: 0,
        input: true,
        hidden: false,
        units: Width::Hidden,
        source: Width::State,
        kept: 0,
        fields: 0,
        recurrent: &[],
        hidden_backward: false,
        carries_h: true,
        carried: 0,
        uses_activations: false,
        twin: |_| {},
        backward: |_| {},
    };

    /// The phase of a WGSL function and its twin, with the text of its file: G gates, S slots, and K numbers that it keeps.
    pub(super) const fn new<const G: usize, const S: usize, const K: usize, T: Gates<G, S, K>>(
        name: &'static str,
        wgsl: &'static str,
    ) -> Self {
        Self { name, wgsl, gates: G, slots: S, kept: K, twin: pointwise::<G, S, K, T>, ..Self::PLAIN }
    }

    /// The same with a derivative of F columns, which carries C gradients of c; `recurrent` as the field says.
    pub(super) const fn trained<const G: usize, const F: usize, const C: usize, T: Derivative<G, F, C>>(
        self,
        recurrent: &'static [(usize, usize)],
    ) -> Self {
        assert!(G == self.gates, "a phase and its derivative have the same gates");
        Self { fields: F, carried: C, recurrent, backward: derivative::<G, F, C, T>, ..self }
    }
}
