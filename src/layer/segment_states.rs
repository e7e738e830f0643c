//! States, or their gradients, between a call's sequences and the segments that a layer runs.

use super::copies::{add_rows, gather_rows};
use super::pass::Pass;
use super::segments::StateMap;
use super::state::DeviceState;
use crate::plan::{BufferId, PlanBuilder};

/// h and c of all layers, or their gradients: of the caller's sequences, and of their segments.
#[derive(Clone, Copy)]
pub(super) struct States {
    pub h: BufferId,
    /// None of cells without c.
    pub c: Option<BufferId>,
}

impl States {
    /// The caller's.
    pub fn external(plan: &mut PlanBuilder, name: &str, state: &DeviceState) -> Self {
        let (h, c) = state.words();
        Self {
            h: plan.external(&format!("{name}h"), &state.h, h),
            c: state.c.as_ref().map(|storage| plan.external(&format!("{name}c"), storage, c)),
        }
    }

    /// Memory for those of segments.
    pub fn workspace(plan: &mut PlanBuilder, pass: &Pass<'_>, name: &str) -> Self {
        let config = pass.config();
        Self {
            h: plan.workspace(&format!("{name}h of segments"), pass.states() * pass.h_width()),
            c: config
                .cell
                .has_cell_state()
                .then(|| plan.workspace(&format!("{name}c of segments"), pass.states() * config.cell_state_size())),
        }
    }

    /// Pairs of buffers of h and of c, with the width of their rows.
    fn pairs(self, pass: &Pass<'_>, other: Self) -> impl Iterator<Item = (BufferId, BufferId, usize)> + use<> {
        let c = self.c.zip(other.c).map(|(c, other)| (c, other, pass.config().cell_state_size()));
        std::iter::once((self.h, other.h, pass.h_width())).chain(c)
    }
}

/// States of sequences to the segments that begin with them; zeros to the others.
pub(super) fn emit_begin(plan: &mut PlanBuilder, pass: &Pass<'_>, map: &StateMap, from: States, to: States) {
    let index = plan.constant("states that segments begin with", &map.begins(pass.config()));
    gather_states(plan, pass, index, pass.sequence_states(), (from, to, pass.states()));
}

/// States of segments to the sequences that end with them.
pub(super) fn emit_end(plan: &mut PlanBuilder, pass: &Pass<'_>, map: &StateMap, from: States, to: States) {
    let index = plan.constant("segments that sequences end with", &map.finals(pass.config()));
    gather_states(plan, pass, index, pass.states(), (from, to, pass.sequence_states()));
}

/// Gradients of final states of sequences to the segments that end with them; zeros to the others.
pub(super) fn emit_end_backward(plan: &mut PlanBuilder, pass: &Pass<'_>, map: &StateMap, from: States, to: States) {
    let index = plan.constant("states that segments end with", &map.ends_as(pass.config()));
    gather_states(plan, pass, index, pass.sequence_states(), (from, to, pass.states()));
}

/// Gradients of the states that segments begin with, added up to those of the sequences' initial ones.
pub(super) fn emit_begin_backward(plan: &mut PlanBuilder, pass: &Pass<'_>, map: &StateMap, from: States, to: States) {
    let index = plan.constant("states that segments begin with", &map.begins(pass.config()));
    for (from, to, width) in from.pairs(pass, to) {
        plan.draft.clear(to, 0, (pass.sequence_states() * width) as u64);
        add_rows(plan, [from, index, to], [0, pass.states()], pass.sequence_states(), [0, width, width]);
    }
}

fn gather_states(
    plan: &mut PlanBuilder,
    pass: &Pass<'_>,
    index: BufferId,
    rows: usize,
    (from, to, count): (States, States, usize),
) {
    for (from, to, width) in from.pairs(pass, to) {
        gather_rows(plan, [from, index, to], [count, rows, width], [0, width], [0, width]);
    }
}
