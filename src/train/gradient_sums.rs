//! Gradients as they come together.

use crate::error::Result;
use crate::layer::DeviceState;
use crate::plan::{BufferId, PlanBuilder, Region, Value};

/// Gradients as they come together.
#[derive(Default)]
pub(super) struct Gradients {
    /// Of buffers, and where they are gathered.
    pub values: Vec<(BufferId, BufferId)>,
    /// Of states.
    pub states: Vec<(DeviceState, DeviceState)>,
    /// Memory that was made for gradients of buffers, and what of it is free again.
    own: Vec<BufferId>,
    free: Vec<BufferId>,
}

impl Gradients {
    pub fn of(&self, value: &Value) -> Option<Value> {
        let gradient = self.values.iter().find(|gradient| gradient.0 == value.buffer)?.1;
        Some(Value { buffer: gradient, ..value.clone() })
    }

    /// Where a contribution to a value's gradient goes, and whether it is added to what is there.
    pub fn target(&mut self, plan: &mut PlanBuilder, value: &Value) -> (Value, bool) {
        if let Some(known) = self.of(value) {
            return (known, true);
        }
        let words = plan.plan().buffers()[value.buffer.0].words;
        let buffer = self.memory(plan, words);
        self.values.push((value.buffer, buffer));
        // The first contribution is written over whatever there is, if it covers all.
        let whole = value.offset == 0 && value.len() as u64 == words && value.range().len() as u64 == words;
        if !whole {
            plan.draft.clear(buffer, 0, words);
        }
        (Value { buffer, ..value.clone() }, !whole)
    }

    /// The smallest piece of free memory that is long enough, or new memory.
    fn memory(&mut self, plan: &mut PlanBuilder, words: u64) -> BufferId {
        let size = |buffer: BufferId| plan.plan().buffers()[buffer.0].words;
        let fits = self.free.iter().enumerate().filter(|free| size(*free.1) >= words);
        match fits.min_by_key(|free| size(*free.1)).map(|free| free.0) {
            Some(place) => self.free.swap_remove(place),
            None => {
                let buffer = plan.own("gradient", words);
                self.own.push(buffer);
                buffer
            }
        }
    }

    /// Ends the gradient of a buffer that no operation before reads or writes: others can have its memory.
    pub fn release(&mut self, buffer: BufferId) {
        let Some(place) = self.values.iter().position(|gradient| gradient.0 == buffer) else { return };
        let (_, gradient) = self.values.swap_remove(place);
        // A gradient may lie where that of another value lay.
        if self.own.contains(&gradient) && !self.values.iter().any(|other| other.1 == gradient) {
            self.free.push(gradient);
        }
    }

    /// The gradient of a state, zeros at first.
    pub fn state(&mut self, plan: &mut PlanBuilder, state: &DeviceState) -> Result<DeviceState> {
        if let Some((_, gradient)) = self.states.iter().find(|known| known.0.h.is(&state.h)) {
            return Ok(gradient.clone());
        }
        let gradient = DeviceState::new(state.device(), &state.config, state.batch)?;
        clear_state(plan, &gradient);
        self.states.push((state.clone(), gradient.clone()));
        Ok(gradient)
    }

    /// Forgets the gradient of what an operation wrote over: whoever used that memory before has no part in it.
    pub fn clear(&self, plan: &mut PlanBuilder, region: &Region) {
        if let Some((_, gradient)) = self.values.iter().find(|gradient| gradient.0 == region.buffer) {
            plan.draft.clear(*gradient, region.range.start as u64, region.range.len() as u64);
        }
        for (state, gradient) in &self.states {
            if plan.external("h", &state.h, state.words().0) == region.buffer {
                clear_state(plan, gradient);
            }
        }
    }
}

fn clear_state(plan: &mut PlanBuilder, state: &DeviceState) {
    let (h, c) = state.words();
    let buffer = plan.external("gradient of h", &state.h, h);
    plan.draft.clear(buffer, 0, h);
    if let Some(storage) = &state.c {
        let buffer = plan.external("gradient of c", storage, c);
        plan.draft.clear(buffer, 0, c);
    }
}
