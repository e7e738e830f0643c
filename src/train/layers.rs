//! The layers of a tape whose weights are packed anew after each step.

use super::tape::{Operation, Tape};
use crate::layer::{Linear, Rnn};
use crate::parameters::Parameters;
use crate::plan::PlanBuilder;

/// A layer whose weights are packed anew after each step.
pub(super) enum Layer {
    Rnn(Rnn),
    Linear(Linear),
}

impl Layer {
    pub fn emit_refresh(&self, plan: &mut PlanBuilder) {
        match self {
            Self::Rnn(rnn) => rnn.emit_refresh(plan),
            Self::Linear(linear) => linear.emit_refresh(plan),
        }
    }

    pub fn parameters(&self) -> Option<&Parameters> {
        match self {
            Self::Rnn(rnn) => rnn.parameters(),
            Self::Linear(linear) => linear.parameters(),
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Rnn(a), Self::Rnn(b)) => a.is(b),
            (Self::Linear(a), Self::Linear(b)) => a.is(b),
            _ => false,
        }
    }
}

/// The recurrent layer on a tape whose parameters these are.
pub(super) fn rnn_of<'t>(tape: &'t Tape, parameters: &Parameters) -> Option<&'t Rnn> {
    tape.operations.values().find_map(|operation| match operation {
        Operation::Rnn(recurrence) if recurrence.rnn.parameters().is_some_and(|own| own.is(parameters)) => {
            Some(&recurrence.rnn)
        }
        _ => None,
    })
}

/// The layers on a tape, each once.
pub(super) fn layers(tape: &Tape) -> Vec<Layer> {
    let mut layers: Vec<Layer> = Vec::new();
    let all = tape.operations.values().filter_map(|operation| match operation {
        Operation::Rnn(recurrence) => Some(Layer::Rnn(recurrence.rnn.clone())),
        Operation::Linear { linear, .. } => Some(Layer::Linear(linear.clone())),
        _ => None,
    });
    for layer in all {
        if !layers.iter().any(|known| known.is(&layer)) {
            layers.push(layer);
        }
    }
    layers
}
