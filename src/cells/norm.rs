//! Layer norms within a cell (Ba, Kiros and Hinton, "Layer Normalization", 2016).
//!
//! With LN(a) = γ⊙(a − mean(a)) / √(var(a) + ε) + β, over all gates of a sequence together unless said otherwise, sums of gates
//! W·x + b + R·h + b_R become LN(W·x) + LN(R·h), whose β are the biases. A GRU's r and z are normed together, n apart:
//! n = tanh(LN(Wₙ·x) + r⊙LN(Rₙ·h)). An LSTM's h' is o⊙tanh(LN(c')), and c' is carried as it is.

/// The ε under the square root of a layer norm, 10⁻⁵ as in PyTorch.
pub const EPSILON: f32 = 1e-5;

/// Which sums of a cell a layer norm takes its statistics over.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Norm {
    /// For each gate the group, 0 or 1, whose mean and variance it shares.
    pub groups: &'static [usize],
    /// Whether c' has a norm of its own before h is computed from it.
    pub has_c: bool,
}

impl Norm {
    /// Number of gates in a group; 1 for a group without gates, so that it can be divided by.
    pub fn count(&self, group: usize) -> usize {
        self.groups.iter().filter(|&&own| own == group).count().max(1)
    }
}
