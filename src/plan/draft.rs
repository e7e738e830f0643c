//! Plans under construction: buffers and commands, with equal variants and bindings kept once.

use super::commands::{Buffer, BufferId, Command, Dispatch, Plan, Role};
#[cfg(doc)]
use crate::kernels::Kernel;
use crate::kernels::{self, Variant};
use std::collections::HashMap;

/// Plans under construction: buffers and commands, with equal variants and bindings kept once.
#[derive(Debug)]
pub(crate) struct Draft {
    pub plan: Plan,
    /// Most workgroups along an axis: where a kernel has more, they are spread over two.
    workgroups: u64,
    variants: HashMap<Variant, usize>,
    bindings: HashMap<Vec<BufferId>, usize>,
}

impl Default for Draft {
    /// For any device.
    fn default() -> Self {
        Self::new(u64::MAX)
    }
}

impl Draft {
    /// A plan for a device that allows so many workgroups along an axis.
    pub fn new(workgroups: u64) -> Self {
        Self { plan: Plan::default(), workgroups, variants: HashMap::new(), bindings: HashMap::new() }
    }

    /// Lets a buffer be at least so long.
    pub fn widen(&mut self, id: BufferId, words: u64) {
        let buffer = &mut self.plan.buffers[id.0];
        buffer.words = buffer.words.max(words);
    }

    pub fn buffer(&mut self, name: impl Into<String>, words: u64, role: Role) -> BufferId {
        self.plan.buffers.push(Buffer { name: name.into(), words, role });
        BufferId(self.plan.buffers.len() - 1)
    }

    pub fn dispatch(&mut self, variant: Variant, bindings: Vec<BufferId>, params: &[u32]) {
        self.dispatch_window(variant, bindings, 0, params);
    }

    /// With the rows that it multiplies beginning at word `window` of their buffer.
    pub fn dispatch_window(&mut self, variant: Variant, bindings: Vec<BufferId>, window: u64, params: &[u32]) {
        let variant = kernels::wrapped(variant, params, self.workgroups);
        let params = &*kernels::wrapped_params(&variant, params, self.workgroups);
        let maxima = |binding: usize, at, count| self.plan.maximum(bindings[binding], at, count);
        let needs = kernels::reach(&variant, params, &maxima);
        let flop = kernels::flop(&variant, params, &maxima);
        let bytes =
            4 * needs.iter().zip(&bindings).map(|(&need, id)| need.min(self.plan.buffers[id.0].words)).sum::<u64>();
        // A grid too large for its words is too large for any adapter: the check that follows refuses it.
        let grid = kernels::workgroups(&variant, params).map(|groups| u32::try_from(groups).unwrap_or(u32::MAX));
        let start = self.plan.params.len();
        self.plan.params.extend_from_slice(params);
        let variant = *self.variants.entry(variant).or_insert_with_key(|variant| {
            self.plan.variants.push(variant.clone());
            self.plan.variants.len() - 1
        });
        let bindings = *self.bindings.entry(bindings).or_insert_with_key(|bindings| {
            self.plan.bindings.push(bindings.clone());
            self.plan.bindings.len() - 1
        });
        let params = start..self.plan.params.len();
        self.plan.commands.push(Command::Dispatch(Dispatch { variant, bindings, window, params, grid, flop, bytes }));
    }

    pub fn copy(&mut self, from: BufferId, to: BufferId, words: u64) {
        self.plan.commands.push(Command::Copy { from, to, words });
    }

    pub fn clear(&mut self, buffer: BufferId, offset: u64, words: u64) {
        self.plan.commands.push(Command::Clear { buffer, offset, words });
    }
}
