//! A plan is checked once, when a program is made of it: shaders run without bounds checks, so nothing may reach beyond
//! its buffer, and nothing may ask for more than the adapter has.

use super::commands::{BufferId, Command, Dispatch, Plan, Role};
use crate::error::{Error, Result};
use crate::kernels::{self, Access, Kernel, PlanLimits, WINDOW_ALIGNMENT};

impl Plan {
    /// Whether an executor with these limits can run it, with every access inside of its buffer.
    pub(crate) fn check(&self, limits: &PlanLimits) -> Result<()> {
        for buffer in &self.buffers {
            limit(
                &buffer.name,
                buffer.words.saturating_mul(4),
                "max_storage_buffer_binding_size",
                limits.binding_bytes,
            )?;
            if let Role::Constant(data) | Role::Indices(data) | Role::Guarded(data) = &buffer.role
                && data.len() as u64 != buffer.words
            {
                return Err(Error::Plan(format!(
                    "{}: {} words of data, not {}",
                    buffer.name,
                    data.len(),
                    buffer.words
                )));
            }
        }
        for command in &self.commands {
            match command {
                Command::Dispatch(dispatch) => self.check_dispatch(dispatch, limits)?,
                Command::Copy { from, to, words } => {
                    let known = matches!(self.buffers[to.0].role, Role::Guarded(_));
                    if known || from == to || *words > self.buffers[from.0].words.min(self.buffers[to.0].words) {
                        let [from, to] = [from, to].map(|id| &self.buffers[id.0].name);
                        return Err(Error::Plan(format!("copy of {words} words from {from} to {to}")));
                    }
                }
                Command::Clear { buffer, offset, words } => {
                    let buffer = &self.buffers[buffer.0];
                    if offset.checked_add(*words).is_none_or(|end| end > buffer.words) {
                        return Err(Error::Plan(format!("clear of {words} words of '{}' from {offset}", buffer.name)));
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a buffer's indices are none larger than these.
    fn holds(&self, id: BufferId, indices: &[u32]) -> bool {
        matches!(&self.buffers[id.0].role, Role::Constant(data) | Role::Indices(data) if data == indices)
    }

    fn check_dispatch(&self, dispatch: &Dispatch, limits: &PlanLimits) -> Result<()> {
        let variant = &self.variants[dispatch.variant];
        let row = variant.row();
        let bindings = &self.bindings[dispatch.bindings];
        let params = &self.params[dispatch.params.clone()];
        if bindings.len() != row.bindings.len() || params.len() != row.params.len() {
            return Err(Error::Plan(format!("{variant}: {} bindings, {} parameters", bindings.len(), params.len())));
        }
        let maxima = |binding: usize, at, count| self.maximum(bindings[binding], at, count);
        let needs = kernels::reach(variant, params, &maxima);
        for (i, (&(name, access), id)) in row.bindings.iter().zip(bindings).enumerate() {
            let buffer = &self.buffers[id.0];
            let windowed = access == Access::Rows && variant.reads.uniform;
            let words = if windowed {
                buffer.words.saturating_sub(dispatch.window).min(kernels::WINDOW.into())
            } else {
                buffer.words
            };
            if windowed && !dispatch.window.is_multiple_of(WINDOW_ALIGNMENT) {
                return Err(Error::Plan(format!("{variant} reads {name} from word {}", dispatch.window)));
            }
            if needs[i] > words {
                let need = needs[i];
                return Err(Error::Plan(format!(
                    "{variant} reaches word {need} of {name}, '{}' has {words}",
                    buffer.name
                )));
            }
            if let Role::Guarded(data) = &buffer.role
                && access == Access::Write
                && (variant.kernel() != Kernel::Settle || !self.holds(bindings[1], data))
            {
                return Err(Error::Plan(format!("{variant} writes '{}', whose indices are known", buffer.name)));
            }
            let aliased = bindings.iter().enumerate().any(|(j, other)| i != j && id == other);
            if access == Access::Write && (aliased || matches!(buffer.role, Role::Constant(_) | Role::Indices(_))) {
                return Err(Error::Plan(format!(
                    "{variant} writes {name}, '{}', which is bound twice or constant",
                    buffer.name
                )));
            }
        }
        let what = || format!("{variant}");
        for groups in kernels::workgroups(variant, params) {
            limit(&what(), groups, "max_compute_workgroups_per_dimension", limits.workgroups)?;
        }
        limit(&what(), kernels::trips(variant, params), "loop trips of an invocation", limits.trips)?;
        let state = kernels::state_width(variant, params);
        if state > variant.of.state_width().into() {
            return Err(Error::Plan(format!("{variant}: its rows do not hold a state of {state} words")));
        }
        limit(&what(), variant.workgroup_bytes(), "max_compute_workgroup_storage_size", limits.workgroup_bytes)?;
        limit(&what(), variant.invocations().into(), "max_compute_invocations_per_workgroup", limits.invocations)
    }
}

fn limit(what: &str, needed: u64, limit: &'static str, allowed: u64) -> Result<()> {
    if needed <= allowed { Ok(()) } else { Err(Error::Limit { what: what.to_owned(), needed, limit, allowed }) }
}
