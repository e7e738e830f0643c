//! Memory of the twins of recurrent kernels, kept from call to call.

/// Memory that twins need while they run, kept from call to call: one per thread.
#[derive(Default)]
pub(crate) struct Scratch {
    pub threads: Vec<ForwardWorkspace>,
    pub backward: Vec<BackwardWorkspace>,
    pub products: Vec<Vec<f32>>,
    pub gathered: Vec<f32>,
}

/// A thread's memory: gathered states, products, and the state of the sequences it works on.
#[derive(Default)]
pub(crate) struct ForwardWorkspace {
    pub(super) products: Vec<f32>,
    pub(super) peepholes: Vec<f32>,
    pub(super) value: Vec<f32>,
    /// Zoneout: the old c.
    pub(super) old: Vec<f32>,
    /// Recurrent dropout: the old h without its mask, and the new one with it.
    pub(super) unmasked: Vec<f32>,
    pub(super) masked: Vec<f32>,
    /// Two copies of the tile's state, which take turns.
    pub state: [Vec<f32>; 2],
}

/// A thread's memory for backward passes.
#[derive(Default)]
pub(crate) struct BackwardWorkspace {
    pub(super) products: Vec<f32>,
    pub(super) gates: Vec<f32>,
    /// Gradients of what zoneout kept.
    pub(super) past: [Vec<f32>; 2],
    /// Two copies of the tile's gate gradients, which take turns.
    pub state: [Vec<f32>; 2],
}
