//! Layer norms within a cell (Ba, Kiros and Hinton, "Layer Normalization", 2016).
//!
//! With LN(a) = γ⊙(a − mean(a)) / √(var(a) + ε) + β, over all gates of a sequence together unless said otherwise, sums of gates
//! W·x + b + R·h + b_R become LN(W·x) + LN(R·h), whose β are the biases. A GRU's r and z are normed together, n apart:
//! n = tanh(LN(Wₙ·x) + r⊙LN(Rₙ·h)). An LSTM's h' is o⊙tanh(LN(c')), and c' is carried as it is.

use super::cell::{Cell, Reset};
use super::options::Form;

/// ε, as in PyTorch.
pub const EPSILON: f32 = 1e-5;

/// What is normed together.
#[derive(Debug)]
pub struct Norm {
    /// The group of each gate: 0 or 1.
    pub groups: &'static [usize],
    /// Whether h is a function of a normed c'.
    pub has_c: bool,
}

static ELMAN: Norm = Norm { groups: &[0], has_c: false };
static LSTM: Norm = Norm { groups: &[0; 4], has_c: true };
static GRU: Norm = Norm { groups: &[0, 0, 1], has_c: false };

impl Norm {
    /// Gates of a group, one for none.
    pub fn count(&self, group: usize) -> usize {
        self.groups.iter().filter(|&&own| own == group).count().max(1)
    }
}

impl Form {
    /// What is normed, where its products are.
    pub fn norm(&self) -> Option<&'static Norm> {
        match self.cell {
            _ if !self.options.layer_norm => None,
            Cell::Elman(_) => Some(&ELMAN),
            Cell::Lstm => Some(&LSTM),
            Cell::Gru(Reset::After) => Some(&GRU),
            _ => None,
        }
    }
}
