//! Layer norms within a cell (Ba, Kiros and Hinton, "Layer Normalization", 2016).
//!
//! With LN(a) = γ⊙(a − mean(a)) / √(var(a) + ε) + β, over all gates of a sequence together unless said otherwise, sums of gates
//! W·x + b + R·h + b_R become LN(W·x) + LN(R·h), whose β are the biases. A GRU's r and z are normed together, n apart:
//! n = tanh(LN(Wₙ·x) + r⊙LN(Rₙ·h)). An LSTM's h' is o⊙tanh(LN(c')), and c' is carried as it is.

/// ε, as in PyTorch.
pub const EPSILON: f32 = 1e-5;

/// What is normed together.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    /// The group of each gate: 0 or 1.
    pub groups: &'static [usize],
    /// Whether h is a function of a normed c'.
    pub has_c: bool,
}

impl Norm {
    /// Gates of a group, one for none.
    pub fn count(&self, group: usize) -> usize {
        self.groups.iter().filter(|&&own| own == group).count().max(1)
    }
}
