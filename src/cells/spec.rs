//! All that is known of a cell, in one place.

use super::activation::Activation;
use super::norm::Norm;
use super::options::Options;
use super::phase::Phase;
use super::scan::Scan;

/// How a step's state follows from the one before.
#[derive(Debug)]
#[non_exhaustive]
pub enum Recurrence {
    /// R is a matrix.
    Matrix {
        /// The phases of a time step.
        phases: &'static [Phase],
        /// Those where h is projected; none where the cell can't be.
        projected: &'static [Phase],
    },
    /// There is no R, or it is a diagonal.
    Scan(Scan),
}

/// All that is known of a cell. Its file in `src/cells` has it, and the library reads there what it needs: which arrays a layer
/// has, what its steps are, what can be asked for.
#[derive(Debug)]
#[non_exhaustive]
pub struct Spec {
    /// The name used in tables, messages and files, and by the JavaScript package.
    pub name: &'static str,
    /// Names of the gates, in the order of their rows in W, R and b.
    pub gates: &'static [&'static str],
    /// How a step's state follows from the one before.
    pub recurrence: Recurrence,
    /// Biases of a gate where a configuration does not say: two, one with each product, of the cells that PyTorch has; else one.
    pub biases: usize,
    /// How many of the activations f, g and h of [`Equations`](super::Equations) it has.
    pub activations: usize,
    /// The activations that the cell's own parameter can be, where not all.
    pub own_activations: Option<&'static [Activation]>,
    /// Whether sums of gates can be clipped.
    pub clip: bool,
    /// Whether c can be clipped.
    pub cell_clip: bool,
    /// Whether its forget gate can be 1 − i.
    pub coupled: bool,
    /// Whether its gates can see c.
    pub peepholes: bool,
    /// What layer norms act on, if there can be any.
    pub norm: Option<Norm>,
    /// Whether zoneout and recurrent dropout are known of it.
    pub noise: bool,
    /// Whether h has an upper bound whatever the input, as that of tanh.
    pub bounded: bool,
    /// Forms other than the usual ones that tests and benches try: whether h is projected, and options. Each option that the
    /// cell can have occurs in one.
    pub forms: &'static [(bool, Options)],
}

impl Spec {
    /// A cell that has one bias and no options.
    pub(super) const PLAIN: Self = Self {
        name: "",
        gates: &[],
        recurrence: Recurrence::Matrix { phases: &[], projected: &[] },
        biases: 1,
        activations: 0,
        own_activations: None,
        clip: false,
        cell_clip: false,
        coupled: false,
        peepholes: false,
        norm: None,
        noise: false,
        bounded: true,
        forms: &[],
    };

    /// The phases of a step: none of a cell without a matrix R.
    pub const fn phases(&self, projected: bool) -> &'static [Phase] {
        match self.recurrence {
            Recurrence::Matrix { projected: phases, .. } if projected && !phases.is_empty() => phases,
            Recurrence::Matrix { phases, .. } => phases,
            Recurrence::Scan(_) => &[],
        }
    }

    /// The scan by which a cell without a matrix R runs; `None` for cells that run in phases.
    pub const fn scan(&self) -> Option<&Scan> {
        match &self.recurrence {
            Recurrence::Matrix { .. } => None,
            Recurrence::Scan(scan) => Some(scan),
        }
    }

    /// Whether h can be projected.
    pub const fn projects(&self) -> bool {
        matches!(self.recurrence, Recurrence::Matrix { projected, .. } if !projected.is_empty())
    }

    /// Whether its derivative is known.
    pub const fn trains(&self) -> bool {
        let phases = self.phases(false);
        let mut i = 0;
        while i < phases.len() {
            if phases[i].fields == 0 {
                return false;
            }
            i += 1;
        }
        true
    }

    /// Numbers of c a unit.
    pub const fn cell_numbers(&self) -> usize {
        match &self.recurrence {
            Recurrence::Scan(scan) => scan.has_c as usize,
            Recurrence::Matrix { phases, .. } => {
                let (mut most, mut i) = (0, 0);
                while i < phases.len() {
                    most = if phases[i].carried > most { phases[i].carried } else { most };
                    i += 1;
                }
                most
            }
        }
    }

    /// Numbers a unit that pass from step to step or from phase to phase beside h, at most.
    pub const fn state_numbers(&self) -> usize {
        let phases = self.phases(false);
        let (mut most, mut i) = (self.cell_numbers(), 0);
        while i < phases.len() {
            most = if phases[i].slots > most { phases[i].slots } else { most };
            i += 1;
        }
        most
    }

    /// Refuses to compile where what is said twice differs.
    pub(super) const fn assert_sound(&self) {
        let phases = self.phases(false);
        let (mut gates, mut i) = (0, 0);
        while i < phases.len() {
            assert!(phases[i].slots <= super::forward::MAX_SLOTS, "a cell has more slots than rows of units can have");
            assert!(phases[i].fields <= super::forward::MAX_FIELDS, "a cell has more columns than rows can have");
            gates += if phases[i].input { phases[i].gates } else { 0 };
            i += 1;
        }
        match self.scan() {
            Some(scan) => {
                assert!(scan.gates <= super::linear::MAX_GATES, "a cell has more gates than a scan can have");
                gates = scan.gates;
            }
            None => assert!(!phases.is_empty(), "a cell has a matrix R but no phases"),
        }
        assert!(gates == self.gates.len(), "a cell has other gates than its phases or its scan");
        assert!(matches!(self.biases, 1 | 2), "a cell's gates have one bias or two");
        assert!(self.biases == 1 || self.scan().is_none(), "a cell without R has no second bias");
    }
}
