//! Plans under construction: buffers and commands, with equal variants and bindings kept once.

use super::commands::{Buffer, BufferId, Command, Dispatch, Plan, Role};
use super::elements::Elements;
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
    /// The element-wise operations among the commands.
    pub elements: Vec<Elements>,
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
        Self {
            plan: Plan::default(),
            workgroups,
            variants: HashMap::new(),
            bindings: HashMap::new(),
            elements: Vec::new(),
        }
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

    /// Takes all commands out, to be put back in part.
    pub fn take_commands(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.plan.commands)
    }

    pub fn push(&mut self, command: Command) {
        self.plan.commands.push(command);
    }

    /// Keeps a buffer that no command names from taking memory.
    pub fn forget(&mut self, id: BufferId) {
        self.plan.buffers[id.0].words = 1;
    }

    /// Forgets the variants and bindings that no command names.
    pub fn prune(&mut self) {
        let (mut variants, mut bindings) = (HashMap::new(), HashMap::new());
        let (mut kept_variants, mut kept_bindings) = (Vec::new(), Vec::new());
        for command in &mut self.plan.commands {
            let Command::Dispatch(dispatch) = command else { continue };
            dispatch.variant = *variants.entry(dispatch.variant).or_insert_with_key(|&old| {
                kept_variants.push(self.plan.variants[old].clone());
                kept_variants.len() - 1
            });
            dispatch.bindings = *bindings.entry(dispatch.bindings).or_insert_with_key(|&old| {
                kept_bindings.push(self.plan.bindings[old].clone());
                kept_bindings.len() - 1
            });
        }
        (self.plan.variants, self.plan.bindings) = (kept_variants, kept_bindings);
        self.variants = self.plan.variants.iter().cloned().zip(0..).collect();
        self.bindings = self.plan.bindings.iter().cloned().zip(0..).collect();
    }

    pub fn copy(&mut self, from: BufferId, to: BufferId, words: u64) {
        self.plan.commands.push(Command::Copy { from, to, words });
    }

    pub fn clear(&mut self, buffer: BufferId, offset: u64, words: u64) {
        self.plan.commands.push(Command::Clear { buffer, offset, words });
    }
}
